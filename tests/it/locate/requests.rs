//! What the router asks is what the IDL says.

use hs2router::idl::impala_service::TPingImpalaHS2ServiceReq;
use hs2router::idl::t_c_l_i_service::{
    TCloseOperationReq, TGetOperationStatusReq, THandleIdentifier, TOperationType,
};
use hs2router::wire::facts::{Handle, OperationType};
use hs2router::wire::hs2::request::{close_operation, operation_status, ping};
use thrift::protocol::{TBinaryInputProtocol, TInputProtocol, TMessageType, TSerializable};

const SEQID: i32 = 7;
const HANDLE: Handle = Handle { guid: *b"\0guidguidguidgu\xff", secret: *b"\xfesecretsecretse\0" };

/// Reads a call whose only argument is a request of this type.
fn read<T: TSerializable>(name: &str, bytes: &[u8]) -> T {
    let mut rest = bytes;
    let request = {
        let mut input = TBinaryInputProtocol::new(&mut rest, true);
        let head = input.read_message_begin().unwrap();
        assert_eq!((head.message_type, head.name.as_str()), (TMessageType::Call, name));
        assert_eq!(head.sequence_number, SEQID);
        input.read_struct_begin().unwrap();
        assert_eq!(input.read_field_begin().unwrap().id, Some(1));
        let request = T::read_from_in_protocol(&mut input).unwrap();
        input.read_field_end().unwrap();
        assert_eq!(input.read_field_begin().unwrap().field_type, thrift::protocol::TType::Stop);
        request
    };
    assert!(rest.is_empty());
    request
}

fn identifier() -> THandleIdentifier {
    THandleIdentifier::new(HANDLE.guid.to_vec(), HANDLE.secret.to_vec())
}

#[test]
fn a_question_for_a_session_is_a_ping_with_the_handle_as_it_came() {
    let request: TPingImpalaHS2ServiceReq = read("PingImpalaHS2Service", &ping(&HANDLE, SEQID));
    assert_eq!(request.session_handle.session_id, identifier());
}

#[test]
fn a_question_for_an_operation_asks_for_its_state_with_the_handle_and_the_type_as_they_came() {
    let kinds = [
        (OperationType::EXECUTE_STATEMENT, TOperationType::EXECUTE_STATEMENT),
        (OperationType::GET_TYPE_INFO, TOperationType::GET_TYPE_INFO),
    ];
    for (kind, expected) in kinds {
        let call = operation_status(&HANDLE, kind, SEQID);
        let request: TGetOperationStatusReq = read("GetOperationStatus", &call);
        assert_eq!(request.operation_handle.operation_id, identifier());
        assert_eq!(request.operation_handle.operation_type, expected);
        assert_eq!(request.get_progress_update, None);
    }
}

#[test]
fn what_comes_of_a_question_is_closed_under_its_own_type() {
    let call = close_operation(&HANDLE, OperationType::GET_TYPE_INFO, SEQID);
    let request: TCloseOperationReq = read("CloseOperation", &call);
    assert_eq!(request.operation_handle.operation_id, identifier());
    assert_eq!(request.operation_handle.operation_type, TOperationType::GET_TYPE_INFO);
}
