//! Kerberos by the system's library, through its GSSAPI.

use std::time::Duration;

use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext, ServerCtx};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::Error;
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_MECH_SPNEGO, GSS_NT_KRB5_PRINCIPAL, Oid, OidSet};
use libgssapi::util::Buf;

use super::provider::{Provider, Tokens};
use crate::wire::sasl::kerberos::{Context, KerberosError, Stepped};

/// Kerberos as Windows calls it in SPNEGO, with a bit that was lost (MS-SPNG, section 3.1.5.2).
static KERBEROS_OF_WINDOWS: Oid<'static> = Oid::from_slice(b"\x2a\x86\x48\x82\xf7\x12\x01\x02\x02");

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

/// Credentials of these mechanisms, and of no other that the library may have. They are fetched anew for each
/// context: the library reads the keytab then, and renews a ticket that is more than half over.
fn credentials(principal: Option<&str>, usage: CredUsage, tokens: Tokens) -> Result<Cred, KerberosError> {
    let mut mechanisms = OidSet::singleton(GSS_MECH_KRB5).map_err(failed)?;
    if tokens == Tokens::Negotiated {
        mechanisms.add(GSS_MECH_SPNEGO).map_err(failed)?;
    }
    let name = principal.map(name).transpose()?;
    Cred::acquire(name.as_ref(), None, usage, Some(&mechanisms)).map_err(failed)
}

impl Provider for Mit {
    fn accept(&self, principal: Option<&str>, tokens: Tokens) -> Result<Box<dyn Context>, KerberosError> {
        let credentials = credentials(principal, CredUsage::Accept, tokens)?;
        Ok(Box::new(Side(ServerCtx::new(Some(credentials)))))
    }

    fn initiate(&self, principal: &str, target: &str) -> Result<Box<dyn Context>, KerberosError> {
        let credentials = credentials(Some(principal), CredUsage::Initiate, Tokens::Kerberos)?;
        let flags = CtxFlags::GSS_C_MUTUAL_FLAG | CtxFlags::GSS_C_SEQUENCE_FLAG | CtxFlags::GSS_C_INTEG_FLAG;
        let context = ClientCtx::new(Some(credentials), name(target)?, flags, Some(GSS_MECH_KRB5));
        Ok(Box::new(Side(context)))
    }

    fn lifetime(&self, principal: &str) -> Result<Duration, KerberosError> {
        credentials(Some(principal), CredUsage::Initiate, Tokens::Kerberos)?.lifetime().map_err(failed)
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
        let is_established = self.0.is_complete();
        // SPNEGO may have come to terms about another mechanism, if the library has more of them.
        if is_established
            && ![&GSS_MECH_KRB5, &KERBEROS_OF_WINDOWS].contains(&&self.0.mechanism().map_err(failed)?)
        {
            return Err(KerberosError::new("Another mechanism was requested than Kerberos"));
        }
        Ok(Stepped { token, is_established })
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
