//! Replaces the handle in a request, byte for byte: the new coordinator of a session that has moved knows it
//! by another handle than the client does.

use super::facts::{HANDLE_PART_BYTES, Handle, HandlePosition};

/// Replaces the handle at this position of a message. Returns false, and changes nothing, if the message ends
/// before that position does.
#[must_use]
pub fn replace(message: &mut [u8], position: HandlePosition, handle: &Handle) -> bool {
    let range = |at: u32| at as usize..(at as usize).saturating_add(HANDLE_PART_BYTES);
    let (guid, secret) = (range(position.guid), range(position.secret));
    if guid.end.max(secret.end) > message.len() {
        return false;
    }
    for (part, bytes) in [(guid, &handle.guid), (secret, &handle.secret)] {
        if let Some(old) = message.get_mut(part) {
            old.copy_from_slice(bytes);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::facts::Facts;
    use crate::wire::scan::Scanner;
    use crate::wire::thrift::MessageType;
    use crate::wire::write::Writer;

    const OLD: Handle = Handle { guid: *b"0123456789abcdef", secret: *b"a secret 16 long" };
    const NEW: Handle = Handle { guid: *b"another guid ...", secret: *b"another secret.." };

    fn handle(writer: &mut Writer, id: i16, handle: Handle) {
        writer.structure(id, |outer| {
            outer.structure(1, |identifier| {
                identifier.string(1, &handle.guid);
                identifier.string(2, &handle.secret);
            });
        });
    }

    fn statement(session: Handle, text: &str, overlay: &[(&str, &str)]) -> Vec<u8> {
        let bytes = Writer::message(MessageType::Call, b"ExecuteStatement", 7, |arguments| {
            arguments.structure(1, |request| {
                handle(request, 1, session);
                request.string(2, text.as_bytes());
                request.string_map(3, overlay);
                request.bool(4, true);
            });
        });
        bytes.to_vec()
    }

    fn profile(operation: Handle, session: Handle) -> Vec<u8> {
        let bytes = Writer::message(MessageType::Call, b"GetRuntimeProfile", 7, |arguments| {
            arguments.structure(1, |request| {
                handle(request, 1, operation);
                handle(request, 2, session);
            });
        });
        bytes.to_vec()
    }

    fn facts(bytes: &[u8], piece: usize) -> Facts {
        let mut scanner = Scanner::request(1 << 20);
        for piece in bytes.chunks(piece) {
            scanner.push(piece).unwrap();
        }
        scanner.facts().clone()
    }

    #[test]
    fn the_session_of_a_profile_is_its_second_handle_and_the_operation_stays() {
        let mut bytes = profile(OLD, OLD);
        let position = facts(&bytes, 1000).second_handle_position().unwrap();
        assert!(replace(&mut bytes, position, &NEW));
        assert_eq!(bytes, profile(OLD, NEW));
    }

    #[test]
    fn a_message_that_is_not_all_there_is_left_alone() {
        let whole = statement(OLD, "select 1", &[]);
        let position = facts(&whole, 1000).handle_position().unwrap();
        let end = position.secret as usize + HANDLE_PART_BYTES;
        let mut short = whole[..end - 1].to_vec();
        assert!(!replace(&mut short, position, &NEW));
        assert_eq!(short, whole[..end - 1]);
        let mut enough = whole[..end].to_vec();
        assert!(replace(&mut enough, position, &NEW));
    }

    proptest! {
        #[test]
        fn the_handle_is_replaced_and_nothing_else(
            guid in any::<[u8; 16]>(),
            secret in any::<[u8; 16]>(),
            text in ".{0,40}",
            overlay in proptest::collection::vec(("[a-z]{0,9}", ".{0,9}"), 0..3),
            piece in 1_usize..200,
        ) {
            let overlay: Vec<_> = overlay.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let new = Handle { guid, secret };
            let mut bytes = statement(OLD, &text, &overlay);
            let found = facts(&bytes, piece);
            prop_assert_eq!(bytes.get(found.statement.unwrap().range()), Some(text.as_bytes()));
            prop_assert!(replace(&mut bytes, found.handle_position().unwrap(), &new));
            prop_assert_eq!(&bytes, &statement(new, &text, &overlay));
            prop_assert_eq!(facts(&bytes, piece).handle(), Some(new));
        }
    }
}
