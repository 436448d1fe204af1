//! What servers may answer, and what each costs.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// What a server does with a request.
#[derive(Clone, Debug)]
enum Server {
    Answers(&'static str, String),
    /// A body without an end.
    Floods,
    Hangs,
    HangsUp,
}

/// The address of a server, and the requests that it gets.
async fn serve(server: Server) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/prefix/", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 64 << 10];
            let length = stream.read(&mut request).await.unwrap_or_default();
            seen.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
            match &server {
                Server::Answers(status, body) => {
                    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
                    let _ = stream.write_all((head + body).as_bytes()).await;
                }
                Server::Floods => {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                    let blanks = vec![b' '; 64 << 10];
                    while stream.write_all(&blanks).await.is_ok() {}
                }
                Server::Hangs => std::future::pending().await,
                Server::HangsUp => {}
            }
        }
    });
    (address, requests)
}

fn observed(address: &str) -> Observed {
    let gauge = json!([{"name": "DCGM_FI_DEV_FB_USED", "unit": "MiB"}]);
    serde_json::from_value(json!({"prometheus": address, "metrics": gauge})).unwrap()
}

fn llama() -> Pod {
    Pod { name: ("team".into(), "llama-0".into()), workload: "u1".into(), created: 0 }
}

async fn asked(observed: &Observed) -> (BTreeMap<String, Peaks>, Option<Failure>) {
    let (mut answered, metrics) = (BTreeMap::new(), Metrics::default());
    ask_all(&Policy::default(), observed, &[llama()], &mut answered, &metrics).await
}

fn matrix() -> String {
    let labels = json!({"namespace": "team", "pod": "llama-0"});
    let series = json!({"metric": labels, "values": [[1_000_000, "61000"], [1_000_060, "62000"]]});
    json!({"status": "success", "data": {"resultType": "matrix", "result": [series]}}).to_string()
}

#[tokio::test]
async fn a_question_is_a_form_without_a_token_and_its_answer_is_the_peak_of_a_workload() {
    let (address, requests) = serve(Server::Answers("200 OK", matrix())).await;
    let (found, failure) = asked(&observed(&address)).await;
    assert_eq!(failure, None);
    assert_eq!(found["u1"].highest(), Some(Bytes::from_mib(62_000)));
    assert_eq!((found["u1"].at, found["u1"].metric.as_str()), (1_000_060, "DCGM_FI_DEV_FB_USED"));
    let request = requests.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /prefix/api/v1/query_range HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("query=max%20by%20%28exported_namespace%2C"), "{request}");
    assert!(!request.to_lowercase().contains("authorization"), "{request}");
}

#[tokio::test]
async fn whatever_a_server_answers_costs_a_word_of_the_metric() {
    let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error: token"}"#;
    let page = "<html>Log in</html>";
    for (server, word) in [
        (Server::Answers("200 OK", page.into()), "unreadable"),
        (Server::Answers("200 OK", String::new()), "unreadable"),
        (Server::Answers("400 Bad Request", refused.into()), "refused"),
        (Server::Answers("503 Service Unavailable", page.into()), "status"),
        (Server::Answers("401 Unauthorized", page.into()), "status"),
        (Server::Answers("500 Internal Server Error", matrix()), "status"),
        (Server::Floods, "too-large"),
        (Server::HangsUp, "unreachable"),
    ] {
        let (address, _) = serve(server.clone()).await;
        let (found, failure) = asked(&observed(&address)).await;
        assert_eq!((found.len(), failure.map(|failure| failure.word())), (0, Some(word)), "{server:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, requests) = serve(Server::Answers("200 OK", matrix())).await;
    let status: &'static str = Box::leak(format!("307 Elsewhere\r\nlocation: {elsewhere}").into_boxed_str());
    let (address, _) = serve(Server::Answers(status, String::new())).await;
    let (_, failure) = asked(&observed(&address)).await;
    assert_eq!(failure, Some(Failure::Status(307)));
    assert_eq!(requests.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_left_after_a_while() {
    let (address, _) = serve(Server::Hangs).await;
    assert_eq!(asked(&observed(&address)).await.1, Some(Failure::Slow));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_told_without_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no certificate: secret").unwrap();
    let wrong = Observed { ca_file: Some(file), ..observed("https://127.0.0.1:1") };
    let failure = asked(&wrong).await.1.unwrap();
    assert_eq!(failure, Failure::Certificates);
    assert!(!failure.to_string().contains("secret"));
    let absent = Some(folder.path().join("absent"));
    let wrong = Observed { token_file: absent, ..observed("http://127.0.0.1:1") };
    assert_eq!(asked(&wrong).await.1, Some(Failure::Token));
}

#[test]
fn only_a_peak_that_grows_is_news() {
    let observations = Observations::default();
    let of = |gib: f64| {
        let pods = vec![("llama-0".to_owned(), Bytes::from_gib(gib))];
        BTreeMap::from([("u1".to_owned(), Peaks { metric: "M".into(), at: 1, pods })])
    };
    assert_eq!(observations.add(of(60.0)), ["u1"]);
    assert_eq!(observations.add(of(60.0)), [] as [&str; 0]);
    assert_eq!(observations.add(of(50.0)), [] as [&str; 0]);
    assert_eq!(observations.add(of(61.0)), ["u1"]);
    assert_eq!(observations.of("u1").and_then(|peaks| peaks.highest()), Some(Bytes::from_gib(61.0)));
}
