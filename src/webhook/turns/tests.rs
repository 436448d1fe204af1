//! Time as it is shared, with a clock that stands still.

use futures::FutureExt as _;

use super::account::NOT_QUICK;
use super::*;

const SIZE: Size = Size { bytes: 20 << 10, objects: 1 };
const SMALL_SIZE: Size = Size { bytes: 2 << 10, objects: 1 };

fn tenant(peer: &str, namespace: &str) -> Tenant {
    Tenant::new(Peer::of(peer.parse().unwrap()), namespace)
}

fn running_turns(turns: &Turns) -> usize {
    turns.0.state().running.all
}

/// Judges one review after the other, and returns how long each took in all.
async fn judge(turns: &Turns, tenant: &Tenant, size: Size, takes: Duration, times: usize) -> Vec<Duration> {
    let mut waited = Vec::new();
    for _ in 0..times {
        let asked = Instant::now();
        let turn = turns.turn(tenant.clone(), size).await.unwrap();
        tokio::time::sleep(takes).await;
        drop(turn);
        waited.push(asked.elapsed());
    }
    waited
}

#[tokio::test(start_paused = true)]
async fn cheap_work_does_not_wait_for_the_expensive_work_of_another_namespace() {
    let turns = Turns::new(2, 64 << 20);
    let (alice, bob) = (tenant("10.0.0.1", "ta"), tenant("10.0.0.1", "tb"));
    let expensive = (0..200).map(|_| judge(&turns, &alice, SIZE, Duration::from_millis(75), 1));
    let cheap = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        judge(&turns, &bob, SMALL_SIZE, Duration::from_millis(1), 100).await
    };
    let (_, waited) = tokio::join!(futures::future::join_all(expensive), cheap);
    let longest = waited.into_iter().max().unwrap();
    assert!(longest <= Duration::from_millis(3), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_namespace_does_not_wait_for_the_expensive_work_of_another() {
    let turns = Turns::new(2, 64 << 20);
    let (alice, bob) = (tenant("10.0.0.1", "ta"), tenant("10.0.0.1", "tb"));
    let expensive = (0..20).map(|_| judge(&turns, &alice, SIZE, Duration::from_millis(75), 1));
    let cheap = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        judge(&turns, &bob, SIZE, Duration::from_millis(1), 1).await
    };
    let (_, waited) = tokio::join!(futures::future::join_all(expensive), cheap);
    assert_eq!(waited, [Duration::from_millis(1)]);
}

#[tokio::test(start_paused = true)]
async fn small_reviews_do_not_wait_for_long_scripts_of_the_same_namespace() {
    let turns = Turns::new(2, 64 << 20);
    let alice = tenant("10.0.0.1", "ta");
    let expensive = (0..200).map(|_| judge(&turns, &alice, SIZE, Duration::from_millis(75), 1));
    let cheap = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        judge(&turns, &alice, SMALL_SIZE, Duration::from_millis(1), 100).await
    };
    let (_, waited) = tokio::join!(futures::future::join_all(expensive), cheap);
    let longest = waited.into_iter().max().unwrap();
    assert!(longest <= Duration::from_millis(3), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn time_is_shared_by_namespace_and_not_by_the_number_of_reviews() {
    let turns = Turns::new(1, 64 << 20);
    let (alice, bob) = (tenant("10.0.0.1", "ta"), tenant("10.0.0.1", "tb"));
    let takes = Duration::from_millis(50);
    let many = (0..100).map(|_| judge(&turns, &alice, SIZE, takes, 1));
    let one = judge(&turns, &bob, SIZE, takes, 10);
    let (_, waited) = tokio::join!(futures::future::join_all(many), one);
    // One review of alice comes in between, and one may be running.
    assert!(waited.iter().all(|waited| *waited <= takes * 3), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_names_many_namespaces_has_one_share() {
    let turns = Turns::new(1, 64 << 20);
    let bob = tenant("10.0.0.1", "tb");
    let takes = Duration::from_millis(50);
    let names: Vec<_> = (0..100).map(|number| tenant("10.0.0.2", &number.to_string())).collect();
    let many = names.iter().map(|tenant| judge(&turns, tenant, SIZE, takes, 2));
    let one = judge(&turns, &bob, SIZE, takes, 10);
    let (_, waited) = tokio::join!(futures::future::join_all(many), one);
    assert!(waited.iter().all(|waited| *waited <= takes * 3), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn work_is_quick_if_the_work_of_its_namespace_was_quick_lately() {
    let turns = Turns::new(2, 64 << 20);
    let alice = tenant("10.0.0.1", "ta");
    let is_quick = async |size| turns.turn(alice.clone(), size).await.unwrap().is_quick();
    assert!(!is_quick(SIZE).await, "nothing is known yet");
    judge(&turns, &alice, SIZE, Duration::from_millis(1), 1).await;
    assert!(is_quick(SIZE).await);
    assert!(!is_quick(Size { bytes: 40 << 10, objects: 1 }).await, "it is long");
    judge(&turns, &alice, SIZE, Duration::from_millis(5), 1).await;
    judge(&turns, &alice, SIZE, Duration::from_millis(1), 20).await;
    assert!(!is_quick(SIZE).await, "one was not quick");
    tokio::time::sleep(NOT_QUICK * 2).await;
    assert!(is_quick(SIZE).await);
}

#[tokio::test(start_paused = true)]
async fn a_large_review_of_an_unknown_namespace_may_take_long() {
    let turns = Turns::new(2, 64 << 20);
    let alice = tenant("10.0.0.1", "ta");
    assert!(turns.turn(alice.clone(), SIZE).await.unwrap().may_take_long());
    assert!(!turns.turn(alice, SMALL_SIZE).await.unwrap().may_take_long());
}

#[tokio::test(start_paused = true)]
async fn large_objects_are_bounded_together() {
    let turns = Turns::new(8, 40 << 20);
    let size = Size { bytes: 900 << 10, objects: 1 };
    let tenants: Vec<_> = (0..8).map(|number| tenant("10.0.0.1", &number.to_string())).collect();
    let mut running = Vec::new();
    for tenant in &tenants {
        running.extend(turns.turn(tenant.clone(), size).now_or_never());
    }
    assert_eq!(running.len(), 2);
    drop(running);
    assert_eq!(running_turns(&turns), 0);
    let large = Size { bytes: 28 << 20, objects: 3 };
    let first = turns.turn(tenants[0].clone(), large).now_or_never();
    assert!(first.is_some());
    assert!(turns.turn(tenants[1].clone(), large).now_or_never().is_none());
    assert!(turns.turn(tenants[2].clone(), SMALL_SIZE).now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_review_of_a_namespace_with_a_full_queue_is_rejected() {
    let turns = Turns::new(1, 64 << 20);
    let (alice, bob) = (tenant("10.0.0.1", "ta"), tenant("10.0.0.1", "tb"));
    let _running = turns.turn(alice.clone(), SIZE).await.unwrap();
    let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(turns.turn(alice.clone(), SIZE))).collect();
    for waiting in &mut waiting {
        assert!(waiting.now_or_never().is_none());
    }
    assert!(matches!(turns.turn(alice.clone(), SIZE).now_or_never(), Some(Err(QueueFull))));
    assert!(turns.turn(bob, SMALL_SIZE).now_or_never().is_some());
    // A caller that goes away makes room.
    waiting.pop();
    assert!(turns.turn(alice, SIZE).now_or_never().is_none());
    drop(waiting);
    assert_eq!(turns.0.state().waiting, 0);
}
