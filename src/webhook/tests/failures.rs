//! Failures: the object is admitted, and the failure is reported.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{answer, job, metrics_text, post, response_to, review, router, webhook, webhook_of};

#[tokio::test]
async fn a_scale_of_an_unreadable_object_is_admitted_with_a_warning() {
    let scale =
        |replicas: u64| json!({"metadata": {"name": "llama", "uid": "u"}, "spec": {"replicas": replicas}});
    let mut review = review("enforced", "UPDATE", &scale(1), &scale(8));
    review["request"]["kind"] = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
    review["request"]["subResource"] = json!("scale");
    let response = response_to(&review).await;
    assert_eq!(
        (&response["allowed"], &response["auditAnnotations"]),
        (&json!(true), &json!({"error": "scale"}))
    );
    assert!(
        response["warnings"][0].as_str().unwrap().contains("could not read the object to scale"),
        "{response}"
    );
}

#[tokio::test]
async fn an_error_admits_with_a_warning_and_a_note() {
    let mut nonsense = review("enforced", "CREATE", &Value::Null, &Value::Null);
    nonsense["request"]["namespace"] = json!(["no", "name"]);
    let broken =
        review("enforced", "CREATE", &json!("BROKEN"), &Value::Null).to_string().replace("\"BROKEN\"", "{a}");
    let panicking = review("enforced", "CREATE", &job(Some("panic")), &Value::Null);
    for (body, error) in
        [(nonsense.to_string(), "unreadable"), (broken, "unreadable"), (panicking.to_string(), "panic")]
    {
        let (status, answer) = post("application/json", "/validate", body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let response = &answer["response"];
        assert_eq!(response["allowed"], true, "{response}");
        assert_eq!(response["auditAnnotations"], json!({"error": error}));
        assert!(response["warnings"][0].as_str().unwrap().contains("unjudged"));
    }
}

#[tokio::test]
async fn a_spent_deadline_admits_with_a_note() {
    let body = review("enforced", "CREATE", &job(Some("slow")), &Value::Null).to_string();
    let (status, answer) = post("application/json", "/validate?timeout=300ms", body).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["auditAnnotations"], json!({"error": "deadline"}));
}

#[tokio::test]
async fn namespaces_that_are_slow_to_read_delay_no_other_review() {
    // It accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = webhook_of(&format!("http://{}", silent.local_addr().unwrap()));
    let answer = async |namespace, allowance| {
        let review = review(namespace, "CREATE", &job(Some("huge")), &Value::Null);
        answer(&webhook, review.to_string().into(), allowance).await
    };
    let waiting = (0..64).map(|_| answer("unheard-of", std::time::Duration::from_secs(2)));
    let (waited, ()) = tokio::join!(futures::future::join_all(waiting), async {
        while !metrics_text(&webhook).contains("requests_in_flight{webhook=\"/validate\"} 64") {
            tokio::task::yield_now().await;
        }
        let answer = answer("enforced", std::time::Duration::from_millis(500)).await;
        assert_eq!(answer["response"]["status"]["code"], 403, "{answer}");
    });
    for answer in waited {
        let notes = &answer["response"]["auditAnnotations"];
        assert_eq!((&notes["mode"], &notes["verdict"]), (&json!("warn"), &json!("OutOfMemory")));
    }
}

#[tokio::test]
async fn a_review_that_is_too_large_is_admitted_under_its_uid() {
    let review = review("enforced", "CREATE", &json!("OBJECT"), &Value::Null).to_string();
    let large = review.replace("\"OBJECT\"", &format!("[{}0]", "0,".repeat(14 << 20)));
    let (status, answer) = post("application/json", "/validate", large).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["auditAnnotations"], json!({"error": "too-large"}));
}

#[tokio::test]
async fn an_abandoned_review_is_counted_and_no_longer_in_flight() {
    let webhook = webhook();
    let review = review("enforced", "CREATE", &job(Some("slow")), &Value::Null).to_string();
    let request = Request::post("/validate").header("content-type", "application/json");
    let answered = router(webhook.clone()).oneshot(request.body(Body::from(review)).unwrap());
    let in_flight = "controller_runtime_webhook_requests_in_flight{webhook=\"/validate\"}";
    tokio::select! {
        _ = answered => panic!("it is slow"),
        () = async {
            while !metrics_text(&webhook).contains(&format!("{in_flight} 1")) {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    let text = metrics_text(&webhook);
    for line in [
        &format!("{in_flight} 0"),
        "weighbridge_admission_reviews_total{decision=\"abandoned\",verdict=\"NotJudged\",mode=\"none\",\
         operation=\"other\",kind=\"other\"} 1",
        "controller_runtime_webhook_requests_total{webhook=\"/validate\",code=\"499\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn a_namespace_that_is_not_a_dns_label_is_not_looked_up() {
    // It accepts connections and never answers, so a look-up would time out.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = webhook_of(&format!("http://{}", silent.local_addr().unwrap()));
    for namespace in ["tb/configmaps/x", "..", "?watch=true", "", "A", "-a"] {
        let review = review(namespace, "CREATE", &job(Some("huge")), &Value::Null).to_string();
        let request = Request::post("/validate?timeout=30s").header("content-type", "application/json");
        let answering = router(webhook.clone()).oneshot(request.body(Body::from(review)).unwrap());
        let response =
            tokio::time::timeout(std::time::Duration::from_secs(5), answering).await.expect(namespace);
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
}
