//! Small blocking clients on the generated types, for tests, the demo and load.

pub mod http;
mod transport;

use std::net::{SocketAddr, TcpStream};

use thrift::TThriftClient;
use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TMessageIdentifier, TMessageType, TStructIdentifier, TType,
};

pub use self::http::HttpLogin;
use self::transport::connect;
pub use self::transport::{CallError, Input, Login, Output};
use crate::idl::beeswax as bw;
use crate::idl::beeswax::TBeeswaxServiceSyncClient as _;
use crate::idl::impala_service as impala;
use crate::idl::impala_service::TImpalaHiveServer2ServiceSyncClient as _;
use crate::idl::t_c_l_i_service as cli;
use crate::idl::t_c_l_i_service::TTCLIServiceSyncClient as _;

/// The generated client of `HiveServer2` with Impala's additions.
pub type Hs2Service =
    impala::ImpalaHiveServer2ServiceSyncClient<TBinaryInputProtocol<Input>, TBinaryOutputProtocol<Output>>;

/// The generated client of Beeswax with Impala's additions.
pub type BeeswaxService =
    impala::ImpalaServiceSyncClient<TBinaryInputProtocol<Input>, TBinaryOutputProtocol<Output>>;

/// An HS2 connection. Sessions and operations are handles, which any other client may use as well.
pub struct Hs2Client {
    service: Hs2Service,
    stream: TcpStream,
}

impl Hs2Client {
    /// Connects and authenticates.
    ///
    /// # Errors
    /// When the coordinator cannot be reached or refuses the password, for which it only closes the
    /// connection.
    pub fn connect(address: SocketAddr, login: &Login) -> Result<Self, CallError> {
        let (stream, (input, output)) = connect(address, login)?;
        Ok(Self { service: Hs2Service::new(input, output), stream })
    }

    /// The generated client, for calls that have no method here.
    pub fn service(&mut self) -> &mut Hs2Service {
        &mut self.service
    }

    /// The socket, to shut down or to look at.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Opens a session at protocol V6 with this configuration.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses the call or answers without a result.
    pub fn open(&mut self, configuration: &[(&str, &str)]) -> Result<cli::TSessionHandle, CallError> {
        let pairs = configuration.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let request = cli::TOpenSessionReq {
            client_protocol: cli::TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6,
            username: None,
            password: None,
            configuration: Some(pairs.collect()),
        };
        let response = self.service.open_session(request)?;
        check(&response.status)?;
        response.session_handle.ok_or(CallError::Incomplete("OpenSession"))
    }

    /// Starts a statement.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses the call or answers without a result.
    pub fn execute(
        &mut self,
        session: &cli::TSessionHandle,
        statement: &str,
    ) -> Result<cli::TOperationHandle, CallError> {
        let request = cli::TExecuteStatementReq::new(session.clone(), statement.to_owned(), None, true, None);
        let response = self.service.execute_statement(request)?;
        check(&response.status)?;
        response.operation_handle.ok_or(CallError::Incomplete("ExecuteStatement"))
    }

    /// The state of an operation, and the message of one that failed.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses the call or answers without a result.
    pub fn status(
        &mut self,
        operation: &cli::TOperationHandle,
    ) -> Result<(cli::TOperationState, Option<String>), CallError> {
        let request = cli::TGetOperationStatusReq::new(operation.clone(), None);
        let response = self.service.get_operation_status(request)?;
        check(&response.status)?;
        let state = response.operation_state.ok_or(CallError::Incomplete("GetOperationStatus"))?;
        Ok((state, response.error_message))
    }

    /// The next rows, and whether there are more. No rows at all while the operation is still executing.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses the call or answers without a result.
    pub fn fetch(
        &mut self,
        operation: &cli::TOperationHandle,
        max_rows: i64,
    ) -> Result<(Option<cli::TRowSet>, bool), CallError> {
        let orientation = cli::TFetchOrientation::FETCH_NEXT;
        let request = cli::TFetchResultsReq::new(operation.clone(), orientation, max_rows, None);
        let response = self.service.fetch_results(request)?;
        check(&response.status)?;
        Ok((response.results, response.has_more_rows.unwrap_or(false)))
    }

    /// Cancels an operation.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses the call or answers without a result.
    pub fn cancel(&mut self, operation: &cli::TOperationHandle) -> Result<(), CallError> {
        let request = cli::TCancelOperationReq::new(operation.clone());
        check(&self.service.cancel_operation(request)?.status)
    }

    /// Closes an operation; returns the number of rows that it modified, if it was DML.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses the call or answers without a result.
    pub fn close(&mut self, operation: &cli::TOperationHandle) -> Result<Option<i64>, CallError> {
        let request = impala::TCloseImpalaOperationReq::new(operation.clone());
        let response = self.service.close_impala_operation(request)?;
        check(&response.status)?;
        Ok(response.dml_result.map(|result| result.rows_modified.values().sum()))
    }

    /// Closes a session.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses the call or answers without a result.
    pub fn close_session(&mut self, session: &cli::TSessionHandle) -> Result<(), CallError> {
        let request = cli::TCloseSessionReq::new(session.clone());
        check(&self.service.close_session(request)?.status)
    }

    /// Asks whether a session exists.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses the call or answers without a result.
    pub fn ping(&mut self, session: &cli::TSessionHandle) -> Result<(), CallError> {
        let request = impala::TPingImpalaHS2ServiceReq::new(session.clone());
        check(&self.service.ping_impala_h_s2_service(request)?.status)
    }

    /// Runs a statement, fetches all its rows as text and closes it.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses the call or answers without a result.
    pub fn query(
        &mut self,
        session: &cli::TSessionHandle,
        statement: &str,
    ) -> Result<Vec<Vec<String>>, CallError> {
        let operation = self.execute(session, statement)?;
        let mut rows = Vec::new();
        let mut more = operation.has_result_set;
        while more {
            let (set, again) = self.fetch(&operation, 8192)?;
            rows.extend(set.iter().flat_map(texts));
            more = again;
        }
        self.close(&operation)?;
        Ok(rows)
    }

    /// Calls a method without arguments and expects no result: for methods that no server knows.
    ///
    /// # Errors
    /// When the connection breaks or the server answers with an exception.
    pub fn call_without_arguments(&mut self, method: &str) -> thrift::Result<()> {
        call_without_arguments(&mut self.service, method)
    }
}

/// A Beeswax connection, which is a session.
pub struct BeeswaxClient {
    service: BeeswaxService,
    stream: TcpStream,
}

impl BeeswaxClient {
    /// Connects and authenticates.
    ///
    /// # Errors
    /// As [`Hs2Client::connect`].
    pub fn connect(address: SocketAddr, login: &Login) -> Result<Self, CallError> {
        let (stream, (input, output)) = connect(address, login)?;
        Ok(Self { service: BeeswaxService::new(input, output), stream })
    }

    /// The generated client.
    pub fn service(&mut self) -> &mut BeeswaxService {
        &mut self.service
    }

    /// The socket, to shut down or to look at.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Starts a statement; as this user, if the connection itself has none.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses the call or answers without a result.
    pub fn execute(&mut self, statement: &str, user: &str) -> Result<bw::QueryHandle, CallError> {
        let query = bw::Query::new(statement.to_owned(), Vec::new(), user.to_owned());
        Ok(self.service.query(query)?)
    }

    /// Runs a statement and returns all its lines, then closes it.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses the call or answers without a result.
    pub fn query(&mut self, statement: &str) -> Result<Vec<String>, CallError> {
        let handle = self.execute(statement, "")?;
        let mut lines = Vec::new();
        loop {
            let results = self.service.fetch(handle.clone(), false, 8192)?;
            lines.extend(results.data.unwrap_or_default());
            if !results.has_more.unwrap_or(false) {
                break;
            }
        }
        self.service.close(handle)?;
        Ok(lines)
    }

    /// As [`Hs2Client::call_without_arguments`].
    ///
    /// # Errors
    /// When the connection breaks or the server answers with an exception.
    pub fn call_without_arguments(&mut self, method: &str) -> thrift::Result<()> {
        call_without_arguments(&mut self.service, method)
    }
}

fn call_without_arguments(service: &mut impl TThriftClient, method: &str) -> thrift::Result<()> {
    service.increment_sequence_number();
    let head = TMessageIdentifier::new(method, TMessageType::Call, service.sequence_number());
    let output = service.o_prot_mut();
    output.write_message_begin(&head)?;
    output.write_struct_begin(&TStructIdentifier::new("args"))?;
    output.write_field_stop()?;
    output.write_struct_end()?;
    output.write_message_end()?;
    output.flush()?;
    let input = service.i_prot_mut();
    let head = input.read_message_begin()?;
    if head.message_type == TMessageType::Exception {
        let error = thrift::Error::read_application_error_from_in_protocol(input)?;
        return Err(thrift::Error::Application(error));
    }
    input.skip(TType::Struct)
}

/// Checks that a status is a success.
///
/// # Errors
/// [`CallError::Refused`] for any status that is not a success.
pub fn check(status: &cli::TStatus) -> Result<(), CallError> {
    match status.status_code {
        cli::TStatusCode::ERROR_STATUS | cli::TStatusCode::INVALID_HANDLE_STATUS => Err(CallError::Refused {
            message: status.error_message.clone().unwrap_or_default(),
            sql_state: status.sql_state.clone(),
        }),
        _ => Ok(()),
    }
}

/// The rows of a columnar set as texts, with `NULL` for NULL.
pub fn texts(set: &cli::TRowSet) -> Vec<Vec<String>> {
    let columns: Vec<_> = set.columns.iter().flatten().map(column_texts).collect();
    let rows = columns.first().map_or(0, Vec::len);
    let row =
        |row: usize| columns.iter().map(|column| column.get(row).cloned().unwrap_or_default()).collect();
    (0..rows).map(row).collect()
}

fn column_texts(column: &cli::TColumn) -> Vec<String> {
    fn each<T>(values: &[T], nulls: &[u8], text: impl Fn(&T) -> String) -> Vec<String> {
        let is_null = |row: usize| nulls.get(row / 8).is_some_and(|bits| bits >> (row % 8) & 1 == 1);
        let value = |(row, value)| if is_null(row) { "NULL".to_owned() } else { text(value) };
        values.iter().enumerate().map(value).collect()
    }
    match column {
        cli::TColumn::BoolVal(it) => each(&it.values, &it.nulls, bool::to_string),
        cli::TColumn::ByteVal(it) => each(&it.values, &it.nulls, i8::to_string),
        cli::TColumn::I16Val(it) => each(&it.values, &it.nulls, i16::to_string),
        cli::TColumn::I32Val(it) => each(&it.values, &it.nulls, i32::to_string),
        cli::TColumn::I64Val(it) => each(&it.values, &it.nulls, i64::to_string),
        cli::TColumn::DoubleVal(it) => each(&it.values, &it.nulls, ToString::to_string),
        cli::TColumn::StringVal(it) => each(&it.values, &it.nulls, String::clone),
        cli::TColumn::BinaryVal(it) => {
            each(&it.values, &it.nulls, |bytes| String::from_utf8_lossy(bytes).into_owned())
        }
    }
}
