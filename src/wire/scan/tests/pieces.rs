//! A message may come in any pieces.

use super::*;

/// A random value and its bytes.
fn value(kind: u8, depth: u32) -> BoxedStrategy<Vec<u8>> {
    let bytes = |n: usize| proptest::collection::vec(any::<u8>(), n).boxed();
    match kind {
        2 | 3 => bytes(1),
        6 => bytes(2),
        8 => bytes(4),
        4 | 10 => bytes(8),
        11 => proptest::collection::vec(any::<u8>(), 0..40)
            .prop_map(|text| Bytes::default().string(&text).0.clone())
            .boxed(),
        12 => fields(depth).boxed(),
        13 => (any_kind(depth), any_kind(depth), 0..4_usize)
            .prop_flat_map(move |(key, of, count)| {
                let pair = (value(key, depth - 1), value(of, depth - 1)).prop_map(|(k, v)| [k, v].concat());
                proptest::collection::vec(pair, count).prop_map(move |pairs| {
                    let mut bytes = vec![key, of];
                    bytes.extend(u32::try_from(pairs.len()).unwrap().to_be_bytes());
                    bytes.extend(pairs.concat());
                    bytes
                })
            })
            .boxed(),
        _ => (any_kind(depth), 0..5_usize)
            .prop_flat_map(move |(of, count)| {
                proptest::collection::vec(value(of, depth - 1), count).prop_map(move |values| {
                    let mut bytes = vec![of];
                    bytes.extend(u32::try_from(values.len()).unwrap().to_be_bytes());
                    bytes.extend(values.concat());
                    bytes
                })
            })
            .boxed(),
    }
}

fn any_kind(depth: u32) -> impl Strategy<Value = u8> {
    let kinds: &[u8] =
        if depth > 1 { &[2, 3, 4, 6, 8, 10, 11, 12, 13, 14, 15] } else { &[2, 3, 4, 6, 8, 10, 11] };
    proptest::sample::select(kinds)
}

fn fields(depth: u32) -> impl Strategy<Value = Vec<u8>> {
    let field =
        any_kind(depth).prop_flat_map(move |kind| value(kind, depth - 1).prop_map(move |v| (kind, v)));
    proptest::collection::vec(field, 0..5).prop_map(|fields| {
        let mut bytes = Vec::new();
        for (id, (kind, value)) in fields.into_iter().enumerate() {
            bytes.push(kind);
            bytes.extend(u16::try_from(id).unwrap().to_be_bytes());
            bytes.extend(value);
        }
        bytes.push(0);
        bytes
    })
}

fn pieces(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut out = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, after) = rest.split_at((*size).min(rest.len()));
        out.push(now.to_vec());
        rest = after;
    }
    out
}

proptest! {
    #[test]
    fn any_struct_in_any_pieces_ends_where_it_ends(
        body in fields(4),
        sizes in proptest::collection::vec(1..50_usize, 1..10),
    ) {
        let mut bytes = Bytes::message(1, "Whatever", 3);
        bytes.0.extend(body);
        let whole = scan_request(&bytes.0).unwrap();
        prop_assert_eq!((whole.1, whole.2), (bytes.0.len(), true));
        let cut = pieces(&bytes.0, &sizes);
        let chunks: Vec<&[u8]> = cut.iter().map(Vec::as_slice).collect();
        let split = scan(Scanner::request(LIMIT), &chunks).unwrap();
        prop_assert_eq!((split.1, split.2), (bytes.0.len(), true));
        prop_assert_eq!(split.0.handle(), whole.0.handle());
    }

    #[test]
    fn a_scanner_that_is_used_again_finds_what_a_new_one_does(
        first in proptest::collection::vec(any::<u8>(), 0..60),
        end in 0..100_usize,
        body in fields(4),
    ) {
        let mut used = Scanner::request(LIMIT);
        let mut bytes = call_with_handle("GetRuntimeProfile");
        bytes.0.truncate(end);
        bytes.0.extend(first);
        // Wherever it ended, and whatever it refused.
        let _outcome = used.push(&bytes.0);
        used.restart_request();
        for name in ["CloseSession", "Whatever"] {
            let mut bytes = call_with_handle(name);
            bytes.0.pop();
            bytes.field(12, 2).0.extend(&body);
            bytes.0.push(0);
            let mut new = Scanner::request(LIMIT);
            for piece in bytes.0.chunks(7) {
                prop_assert_eq!(used.push(piece), new.push(piece));
            }
            prop_assert!(used.facts() == new.facts() && used.method() == new.method());
            used.restart_request();
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_pieces_make_no_difference(
        body in proptest::collection::vec(any::<u8>(), 0..400),
        sizes in proptest::collection::vec(1..20_usize, 1..10),
    ) {
        let mut bytes = Bytes::message(1, "FetchResults", 3);
        bytes.0.extend(body);
        let mut whole = Scanner::request(LIMIT);
        let expected = whole.push(&bytes.0);
        let mut split = Scanner::request(LIMIT);
        let mut used = 0;
        let mut outcome = Ok(Step { used: 0, done: false });
        for piece in pieces(&bytes.0, &sizes) {
            outcome = split.push(&piece).map(|step| {
                used += step.used;
                Step { used, done: step.done }
            });
            if !matches!(outcome, Ok(Step { done: false, .. })) {
                break;
            }
        }
        prop_assert_eq!(outcome, expected);
    }
}
