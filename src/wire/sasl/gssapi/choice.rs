//! What a client says in its last message, and the bounds of all messages.

use thiserror::Error;

/// The longest token that is read or passed on, in bytes. Windows makes none above 65,535 (`MaxTokenSize`);
/// impalad would allocate whatever length it is told (Impala: `TSaslTransport::receiveSaslMessage`).
pub const TOKEN_LIMIT: usize = 68 << 10;

/// The longest authorization id that is read, in bytes.
pub const AUTHORIZATION_ID_LIMIT: usize = 512;

/// What a server says that offers no layer, before it is wrapped: its largest buffer is then 0 (RFC 4752
/// §3.2).
pub const NO_LAYER_OFFERED: [u8; 4] = [Layers::NONE, 0, 0, 0];

/// Layers, a bit for each (RFC 4752 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers(pub(super) u8);

impl Layers {
    const NONE: u8 = 1;
    const INTEGRITY: u8 = 2;
    const CONFIDENTIALITY: u8 = 4;

    /// Whether nothing but "no layer" was chosen. Cyrus SASL takes a choice of nothing for that, too
    /// (`plugins/gssapi.c`, `gssapi_server_mech_ssfcap`).
    pub fn are_none(self) -> bool {
        self.0 & (Self::INTEGRITY | Self::CONFIDENTIALITY) == 0
    }

    /// The word for the strongest of them in the settings of SASL (`qop`).
    pub fn as_str(self) -> &'static str {
        if self.0 & Self::CONFIDENTIALITY != 0 {
            "auth-conf"
        } else if self.0 & Self::INTEGRITY != 0 {
            "auth-int"
        } else {
            "auth"
        }
    }
}

/// What a client says in its last message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The layer that it chooses; more than one bit only from broken clients (cyrus-sasl: `gssapi.c`,
    /// "compatibility with broken clients").
    pub layers: Layers,
    /// The user that it wants to be, if it says that. pure-sasl always does, with its principal.
    pub authorization_id: Option<Box<str>>,
}

/// Why a client's last message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChoiceError {
    /// It is shorter than its fixed part.
    #[error("the choice of a layer has {len} bytes, and not at least 4")]
    TooShort {
        /// Its bytes.
        len: usize,
    },
    /// The authorization id is too long, not UTF-8, or has a NUL in it.
    #[error("the authorization id is no name")]
    AuthorizationId,
}

impl Choice {
    /// Reads what was in the wrap token: the layer, the largest buffer (3 bytes), an authorization id.
    ///
    /// # Errors
    /// When it is too short, or the authorization id is longer than [`AUTHORIZATION_ID_LIMIT`], not UTF-8, or
    /// has a NUL in it.
    pub fn read(unwrapped: &[u8]) -> Result<Self, ChoiceError> {
        let Some(([layers, _largest @ ..], id)) = unwrapped.split_first_chunk::<4>() else {
            return Err(ChoiceError::TooShort { len: unwrapped.len() });
        };
        let is_sound = id.len() <= AUTHORIZATION_ID_LIMIT && !id.contains(&0);
        let id = std::str::from_utf8(id).ok().filter(|_| is_sound).ok_or(ChoiceError::AuthorizationId)?;
        let authorization_id = (!id.is_empty()).then(|| id.into());
        Ok(Self { layers: Layers(*layers), authorization_id })
    }
}
