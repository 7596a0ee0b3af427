use std::sync::mpsc;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

fn two() -> Workers {
    Workers::start(NonZero::new(2).unwrap()).unwrap()
}

/// Workers without their own threads, of which the first `width` serve.
fn with_width(workers: usize, width: usize) -> Workers {
    let loads = Loads::new(workers);
    loads.width.store(width, Ordering::Relaxed);
    Workers::of(vec![Handle::current(); workers], loads, CancellationToken::new().drop_guard())
}

/// The name of the thread that serves a connection with this assignment.
async fn thread_of(assignment: &Assignment) -> String {
    let (tell, told) = oneshot::channel();
    let name = || thread::current().name().unwrap_or_default().to_owned();
    drop(assignment.runtime().spawn(async move { tell.send(name()).unwrap() }));
    timeout(DEADLINE, told).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_connection_is_accepted_by_the_thread_that_serves_it() {
    let workers = two();
    workers.crew.loads.of[0].ended.store(true, Ordering::Relaxed);
    let (accepting, assignment) = workers.accept(async { Handle::current().id() }).await;
    assert_eq!((accepting, thread_of(&assignment).await.as_str()), (assignment.runtime().id(), "worker-2"));
}

#[tokio::test]
async fn other_tasks_have_a_turn_between_two_connections() {
    let workers = Workers::here();
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    });
    for connections in 1..100 {
        // A crowd waits: there is always one to accept.
        let ((), _assignment) = workers.accept(async {}).await;
        assert!(turns.load(Ordering::Relaxed) >= connections);
    }
    other.abort();
}

#[tokio::test]
async fn here_is_the_runtime_of_the_caller() {
    let (id, _place) = Workers::here().accept(async { Handle::current().id() }).await;
    assert_eq!(id, Handle::current().id());
}

#[tokio::test]
async fn homes_are_spread_over_all_workers_while_only_some_of_them_serve() {
    let workers = with_width(4, 2);
    let mut assignments = Vec::new();
    for _ in 0..8 {
        assignments.push(workers.accept(async {}).await.1);
    }
    assert_eq!(assignments.iter().map(|one| one.home).collect::<Vec<_>>(), [0, 1, 2, 3, 0, 1, 2, 3]);
    assert_eq!(assignments.iter().map(|one| one.worker).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1, 0, 1]);
    assert!(assignments.iter().all(|one| one.next().is_none()));
    workers.crew.loads.width.store(4, Ordering::Relaxed);
    let next = assignments.iter().map(|one| one.next().map(|next| (next.home, next.worker)));
    let home = |at| Some((at, at));
    assert_eq!(next.collect::<Vec<_>>(), [None, None, home(2), home(3), None, None, home(2), home(3)]);
    drop(assignments);
    assert!(workers.crew.loads.of.iter().all(|load| load.homes.load(Ordering::Relaxed) == 0));
}

#[tokio::test]
async fn a_connection_that_is_passed_on_unread_goes_to_its_home() {
    let workers = with_width(3, 1);
    let mut assignments = Vec::new();
    for _ in 0..3 {
        let ((), assignment) = workers.accept(async {}).await;
        assignments.push(assignment);
    }
    assert!(assignments[0].at_home().is_none(), "it is there already");
    let at_home = assignments.iter().filter_map(Assignment::at_home).map(|one| one.worker);
    assert_eq!(at_home.collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_worker_that_has_ended_gets_no_connections() {
    let workers = with_width(4, 2);
    drop(Worker { loads: Arc::clone(&workers.crew.loads), index: 1 });
    let mut assignments = Vec::new();
    for _ in 0..3 {
        assignments.push(workers.accept(async {}).await.1);
    }
    assert_eq!(assignments.iter().map(|one| one.worker).collect::<Vec<_>>(), [0, 0, 3]);
    drop(Worker { loads: Arc::clone(&workers.crew.loads), index: 3 });
    assert_eq!(assignments[2].next().map(|one| one.worker), Some(0), "and keeps nothing");
    assert!(assignments[2].at_home().is_none());
}

#[test]
fn more_threads_serve_only_while_one_is_crowded() {
    let (workers, stop) = (two(), CancellationToken::new());
    for _ in 0..8 {
        let stop = stop.clone();
        drop(workers.first().spawn(async move {
            while !stop.is_cancelled() {
                let until = clock::now() + Duration::from_micros(500);
                while clock::now() < until {}
                yield_now().await;
            }
        }));
    }
    let await_width = |width| {
        let deadline = clock::now() + DEADLINE;
        while workers.crew.loads.width.load(Ordering::Relaxed) != width {
            assert!(clock::now() < deadline, "{workers:?}");
            thread::yield_now();
        }
    };
    await_width(2);
    stop.cancel();
    await_width(1);
}

#[test]
fn threads_end_when_workers_are_dropped() {
    let workers = two();
    let (dropped, seen) = mpsc::channel::<()>();
    drop(workers.first().spawn(async move {
        let _held = dropped;
        std::future::pending::<()>().await;
    }));
    drop(workers);
    let end = seen.recv_timeout(DEADLINE).unwrap_err();
    assert_eq!(end, mpsc::RecvTimeoutError::Disconnected);
}
