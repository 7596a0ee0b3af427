use std::net::IpAddr;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::ids::{Access, ClientAddress, Identity, Transport};
use crate::session::messages::{failed, guessed, handle, minted, reply, succeeded};
use crate::wire::write::{ExceptionKind, application_exception};

const FIRST: CoordinatorId = CoordinatorId(0);
const SECOND: CoordinatorId = CoordinatorId(1);
const THIRD: CoordinatorId = CoordinatorId(2);

fn start() -> Instant {
    crate::clock::now()
}

fn session() -> Question {
    Question::Session(handle(1))
}

fn operation() -> Question {
    Question::Operation(handle(1), OperationType::EXECUTE_STATEMENT)
}

fn finding(given: &[(CoordinatorId, Answer)], preferred: Option<CoordinatorId>) -> Finding {
    let mut answers = Answers::of(3, preferred);
    for (coordinator, answer) in given {
        answers.note(*coordinator, *answer);
    }
    answers.finding()
}

#[test]
fn a_reply_says_whether_its_coordinator_has_the_handle() {
    let ping = "PingImpalaHS2Service";
    assert_eq!(session().answer(Flavor::Impala, &succeeded(ping, |_| {})), Some(Answer::Has));
    assert_eq!(
        session().answer(Flavor::Impala, &failed(ping, "Invalid session id: 1:2\n")),
        Some(Answer::HasNot)
    );
    let expired = "Client session expired due to more than 60s of inactivity (last activity was at: …).\n";
    assert_eq!(session().answer(Flavor::Impala, &failed(ping, expired)), Some(Answer::Refuses));
    let other = "The user authorized on the connection 'bob' does not match the session username 'ann'\n";
    assert_eq!(session().answer(Flavor::Impala, &failed(ping, other)), Some(Answer::Refuses));

    let status = "GetOperationStatus";
    assert_eq!(operation().answer(Flavor::Impala, &succeeded(status, |_| {})), Some(Answer::Has));
    let unknown = "Query 1:2 failed:\nInvalid or unknown query handle: 1:2.\n\n";
    assert_eq!(operation().answer(Flavor::Impala, &failed(status, unknown)), Some(Answer::HasNot));
    assert_eq!(
        operation().answer(Flavor::Impala, &failed(status, "Invalid query handle: 1:2")),
        Some(Answer::HasNot)
    );
    let wrong_secret = "Query 1:2 failed:\nQuery id 1:2 not found.\n\n";
    assert_eq!(operation().answer(Flavor::Impala, &failed(status, wrong_secret)), Some(Answer::Refuses));
}

#[test]
fn who_does_not_know_the_method_says_nothing_about_the_handle() {
    let bytes =
        application_exception(b"PingImpalaHS2Service", 1, ExceptionKind::UnknownMethod, "Invalid method");
    let mut scanner = crate::wire::scan::Scanner::reply(session().method(Flavor::Impala), 1 << 10);
    assert!(scanner.push(&bytes).unwrap().done);
    assert_eq!(session().answer(Flavor::Impala, scanner.facts()), None);
    assert_eq!(
        session().answer(Flavor::Impala, &reply("PingImpalaHS2Service", |_| {})),
        Some(Answer::Has),
        "no status is a success"
    );
}

#[test]
fn a_success_wins_over_an_error_and_an_error_over_having_it_not() {
    use Answer::{Has, HasNot, Refuses};
    assert_eq!(finding(&[(FIRST, HasNot), (SECOND, Refuses), (THIRD, Has)], None), Finding::Owner(THIRD));
    assert_eq!(finding(&[(FIRST, Has), (SECOND, Refuses)], None), Finding::Owner(FIRST));
    assert_eq!(
        finding(&[(FIRST, HasNot), (SECOND, Refuses), (THIRD, HasNot)], None),
        Finding::Refused(SECOND)
    );
}

#[test]
fn two_owners_are_no_owner_until_one_of_them_is_not_believed() {
    use Answer::{Has, HasNot};
    let mut answers = Answers::of(3, None);
    for (coordinator, answer) in [(FIRST, Has), (SECOND, HasNot), (THIRD, Has)] {
        answers.note(coordinator, answer);
    }
    assert_eq!(answers.finding(), Finding::Disputed(FIRST));
    answers.disbelieve(FIRST);
    assert_eq!(answers.finding(), Finding::Owner(THIRD));
    answers.disbelieve(THIRD);
    assert_eq!(answers.finding(), Finding::Nowhere { says: Some(SECOND), all: false });
}

#[test]
fn what_several_refuse_says_nothing_about_the_handle() {
    use Answer::{HasNot, Refuses};
    let both = [(FIRST, Refuses), (SECOND, Refuses)];
    assert_eq!(finding(&both, Some(SECOND)), Finding::Nowhere { says: Some(SECOND), all: false });
    let all = [(FIRST, Refuses), (SECOND, Refuses), (THIRD, HasNot)];
    assert_eq!(finding(&all, None), Finding::Nowhere { says: Some(THIRD), all: false });
}

#[test]
fn a_session_is_asked_for_by_a_call_that_its_server_has() {
    for (flavor, method) in [
        (Flavor::Impala, "PingImpalaHS2Service"),
        (Flavor::Hive, "GetTypeInfo"),
        (Flavor::Spark, "GetTypeInfo"),
    ] {
        let mut scanner = crate::wire::scan::Scanner::request(1 << 10);
        assert!(scanner.push(&session().call(flavor)).unwrap().done);
        assert_eq!(scanner.method(), session().method(flavor));
        assert_eq!((scanner.method().name, scanner.facts().handle()), (method, Some(handle(1))));
        assert_eq!(operation().method(flavor).name, "GetOperationStatus");
    }
    let gone = failed("GetTypeInfo", "Invalid SessionHandle: SessionHandle [0]");
    assert_eq!(session().answer(Flavor::Hive, &gone), Some(Answer::HasNot));
    assert!(session().clearance(Flavor::Hive, &gone).is_none());
    let minted = minted("GetTypeInfo", handle(7), None);
    let call = session().clearance(Flavor::Hive, &minted).unwrap();
    let mut scanner = crate::wire::scan::Scanner::request(1 << 10);
    assert!(scanner.push(&call).unwrap().done);
    assert_eq!((scanner.method().name, scanner.facts().handle()), ("CloseOperation", Some(handle(7))));
    let kind = scanner.facts().operation_type;
    assert_eq!(kind, Some(OperationType::GET_TYPE_INFO), "Hive and Spark do not find it under another");
    assert!(session().clearance(Flavor::Impala, &succeeded("PingImpalaHS2Service", |_| {})).is_none());
}

#[test]
fn nobody_has_it_only_if_all_say_so() {
    use Answer::HasNot;
    let nowhere = |says, all| Finding::Nowhere { says, all };
    assert_eq!(finding(&[], None), nowhere(None, false));
    assert_eq!(finding(&[(SECOND, HasNot), (FIRST, HasNot)], None), nowhere(Some(SECOND), false));
    let all = [(SECOND, HasNot), (FIRST, HasNot), (THIRD, HasNot)];
    assert_eq!(finding(&all, None), nowhere(Some(SECOND), true));
    assert_eq!(finding(&all, Some(FIRST)), nowhere(Some(FIRST), true), "where the connection was last");
}

#[test]
fn a_question_is_known_by_its_guid_its_secret_its_kind_and_its_identity() {
    let keys = Keys::draw(&mut StdRng::seed_from_u64(1));
    let plain = |name: &str| Access { identity: Identity::Plain(name.into()), transport: Transport::Sasl };
    let key = keys.key(&session(), &plain("ann"));
    assert_eq!(keys.key(&session(), &plain("ann")), key);
    assert_ne!(keys.key(&Question::Session(guessed(handle(1))), &plain("ann")), key);
    assert_ne!(keys.key(&Question::Session(handle(2)), &plain("ann")), key);
    assert_ne!(keys.key(&operation(), &plain("ann")), key);
    assert_ne!(keys.key(&session(), &plain("bob")), key);
    assert_ne!(keys.key(&session(), &Access::ANONYMOUS), key);
    let others = Keys::draw(&mut StdRng::seed_from_u64(2));
    assert_ne!(others.key(&session(), &plain("ann")), key, "another router's");
}

#[test]
fn that_nobody_has_it_is_remembered_for_a_while() {
    let mut unknown = Unknown::new(8, Duration::from_mins(1));
    let (now, age) = (start(), unknown.age());
    unknown.note(Key(1), age, now);
    assert!(unknown.has(Key(1), now + Duration::from_secs(59)));
    assert!(!unknown.has(Key(2), now));
    let later = now + Duration::from_mins(1);
    assert!(!unknown.has(Key(1), later));
    unknown.note(Key(1), age, later);
    assert!(unknown.has(Key(1), later + Duration::from_secs(59)), "asked again and noted again");
}

#[test]
fn all_of_it_is_forgotten_when_a_coordinator_returns_and_so_is_what_was_asked_before() {
    let mut unknown = Unknown::new(8, Duration::from_mins(1));
    let (now, before) = (start(), unknown.age());
    unknown.note(Key(1), before, now);
    unknown.forget();
    assert!(!unknown.has(Key(1), now));
    unknown.note(Key(2), before, now);
    assert!(!unknown.has(Key(2), now), "the coordinator returned while it was asked");
    unknown.note(Key(2), unknown.age(), now);
    assert!(unknown.has(Key(2), now));
}

const LIMITS: Limits = Limits { at_once: 3, at_once_each: 2, burst: 4, per_second: 2, clients: 2 };

fn client(number: u8) -> ClientAddress {
    IpAddr::from([192, 0, 2, number]).into()
}

#[test]
fn a_client_asks_so_much_at_a_time_and_all_together_so_much() {
    let (mut allowances, now) = (Allowances::new(LIMITS), start());
    assert_eq!(allowances.begin(client(1), now), Ok(()));
    assert_eq!(allowances.begin(client(1), now), Ok(()));
    assert_eq!(allowances.begin(client(1), now), Err(NotNow::Busy));
    assert_eq!(allowances.begin(client(2), now), Ok(()), "another one's bound is its own");
    assert_eq!(allowances.begin(client(2), now), Err(NotNow::Busy), "three are under way");
    allowances.end(client(1));
    assert_eq!(allowances.begin(client(2), now), Ok(()));
}

#[test]
fn a_client_that_asks_without_end_may_ask_so_many_times_a_second() {
    let (mut allowances, now) = (Allowances::new(LIMITS), start());
    let mut ask = |now| allowances.begin(client(1), now).map(|()| allowances.end(client(1)));
    let asked = (0..10).filter(|_| ask(now).is_ok()).count();
    assert_eq!(asked, 4);
    assert_eq!(ask(now), Err(NotNow::TooMany));
    assert_eq!(ask(now + Duration::from_millis(499)), Err(NotNow::TooMany));
    assert_eq!(ask(now + Duration::from_millis(501)), Ok(()));
    let asked = (0..10).filter(|_| ask(now + Duration::from_hours(1)).is_ok()).count();
    assert_eq!(asked, 4, "a long pause gives no more than a burst");
}

#[test]
fn clients_that_have_not_asked_for_long_make_room_for_others() {
    let (mut allowances, now) = (Allowances::new(LIMITS), start());
    for number in [1, 2] {
        allowances.begin(client(number), now).unwrap();
        allowances.end(client(number));
    }
    assert_eq!(allowances.begin(client(3), now), Err(NotNow::TooMany));
    assert_eq!(allowances.begin(client(1), now), Ok(()), "who is known may go on");
    let later = now + Duration::from_secs(2);
    assert_eq!(allowances.begin(client(3), later), Ok(()));
    assert_eq!(allowances.begin(client(4), later), Err(NotNow::TooMany), "who asks is not forgotten");
}

proptest! {
    #[test]
    fn no_more_is_remembered_than_fits(notes in prop::collection::vec((0_u64..40, 0_u64..90), 0..200)) {
        let mut unknown = Unknown::new(16, Duration::from_mins(1));
        let mut now = start();
        for (key, pause) in notes {
            now += Duration::from_secs(pause);
            unknown.note(Key(key), unknown.age(), now);
            prop_assert!(unknown.has(Key(key), now));
            prop_assert!(unknown.len() <= 16 && unknown.since.len() == unknown.len());
        }
    }

    #[test]
    fn bounds_hold_whatever_clients_do(steps in prop::collection::vec((any::<bool>(), 1_u8..5, 0_u64..900), 0..200)) {
        let mut allowances = Allowances::new(LIMITS);
        let mut now = start();
        let mut under_way = [0_usize; 5];
        for (begins, number, pause) in steps {
            now += Duration::from_millis(pause);
            let own = &mut under_way[usize::from(number)];
            if begins {
                *own += usize::from(allowances.begin(client(number), now).is_ok());
            } else if *own > 0 {
                allowances.end(client(number));
                *own -= 1;
            }
            prop_assert!(*own <= LIMITS.at_once_each);
            let sum: usize = under_way.iter().sum();
            prop_assert!(sum <= LIMITS.at_once && sum == allowances.under_way && allowances.clients.len() <= LIMITS.clients);
        }
    }
}
