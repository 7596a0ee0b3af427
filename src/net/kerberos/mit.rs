//! Kerberos by the system's library, through its GSSAPI.

use std::time::Duration;

use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext, ServerCtx};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::Error;
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_KRB5_PRINCIPAL, OidSet};
use libgssapi::util::Buf;

use super::provider::Provider;
use crate::wire::sasl::kerberos::{Context, KerberosError, Stepped};

/// The system's library, with the keytabs of the environment.
#[derive(Debug)]
pub(super) struct Mit;

fn failed(error: Error) -> KerberosError {
    KerberosError::new(&error.to_string())
}

/// A principal as it is written, which takes no look-up of names.
fn name(principal: &str) -> Result<Name, KerberosError> {
    Name::new(principal.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL)).map_err(failed)
}

/// Credentials of Kerberos, and of no other mechanism that the library may have. They are fetched anew for each
/// context: the library reads the keytab then, and renews a ticket that is more than half over.
fn credentials(principal: Option<&str>, usage: CredUsage) -> Result<Cred, KerberosError> {
    let mechanisms = OidSet::singleton(GSS_MECH_KRB5).map_err(failed)?;
    let name = principal.map(name).transpose()?;
    Cred::acquire(name.as_ref(), None, usage, Some(&mechanisms)).map_err(failed)
}

impl Provider for Mit {
    fn accept(&self, principal: Option<&str>) -> Result<Box<dyn Context>, KerberosError> {
        let credentials = credentials(principal, CredUsage::Accept)?;
        Ok(Box::new(Side(ServerCtx::new(Some(credentials)))))
    }

    fn initiate(&self, principal: &str, target: &str) -> Result<Box<dyn Context>, KerberosError> {
        let credentials = credentials(Some(principal), CredUsage::Initiate)?;
        let flags = CtxFlags::GSS_C_MUTUAL_FLAG | CtxFlags::GSS_C_SEQUENCE_FLAG | CtxFlags::GSS_C_INTEG_FLAG;
        let context = ClientCtx::new(Some(credentials), name(target)?, flags, Some(GSS_MECH_KRB5));
        Ok(Box::new(Side(context)))
    }

    fn lifetime(&self, principal: &str) -> Result<Duration, KerberosError> {
        credentials(Some(principal), CredUsage::Initiate)?.lifetime().map_err(failed)
    }
}

/// One side of a context.
struct Side<C>(C);

/// What differs between the sides.
trait Steps: SecurityContext + Send {
    fn take(&mut self, token: &[u8]) -> Result<Option<Buf>, Error>;
}

impl Steps for ServerCtx {
    fn take(&mut self, token: &[u8]) -> Result<Option<Buf>, Error> {
        self.step(token, None)
    }
}

impl Steps for ClientCtx {
    fn take(&mut self, token: &[u8]) -> Result<Option<Buf>, Error> {
        self.step(Some(token).filter(|token| !token.is_empty()), None)
    }
}

impl<C: Steps> Context for Side<C> {
    fn step(&mut self, token: &[u8]) -> Result<Stepped, KerberosError> {
        let answer = self.0.take(token).map_err(failed)?;
        let token = answer.map(|token| token.to_vec()).unwrap_or_default();
        Ok(Stepped { token, is_established: self.0.is_complete() })
    }

    fn wrap(&mut self, bytes: &[u8]) -> Result<Vec<u8>, KerberosError> {
        self.0.wrap(false, bytes).map(|token| token.to_vec()).map_err(failed)
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, KerberosError> {
        self.0.unwrap(token).map(|bytes| bytes.to_vec()).map_err(failed)
    }

    fn principal(&mut self) -> Result<String, KerberosError> {
        let name = self.0.source_name().map_err(failed)?.display_name().map_err(failed)?;
        String::from_utf8(name.to_vec()).map_err(|_| KerberosError::new("the principal is no text"))
    }
}
