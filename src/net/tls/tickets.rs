//! Session tickets under keys from a file, so that a session begun with one router resumes with another.
//!
//! The file is that of `HAProxy`'s `tls-ticket-keys`: keys of 48 or 80 bytes in base64, one a line. The last
//! three decrypt, and the last but one encrypts: a key that is appended everywhere is known everywhere before
//! anybody uses it. A file of 48 or 80 bytes that is not text is one key, as for nginx'
//! `ssl_session_ticket_key`. Only the file is compatible; tickets of other programs are not understood.
//!
//! A ticket is the key's name (16 bytes), a salt (16), and the sealed state, which begins with the time of
//! issue. Key and nonce of each ticket are derived from the file's key and the salt, so that no pair of them
//! is used twice however many tickets a key seals.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use data_encoding::BASE64;
use rustls::server::ProducesTickets;
use rustls::time_provider::TimeProvider;
use zeroize::Zeroizing;

use super::certificates::{CertificateError, Content};

/// How long a ticket can be used.
const LIFETIME_SECONDS: u32 = 12 * 3600;
/// How far the clocks of two routers may be apart.
const CLOCKS_APART_SECONDS: u64 = 300;
/// As many keys of a file decrypt (`HAProxy`: `TLS_TICKETS_NO`).
const KEYS_IN_USE: usize = 3;
/// The length of a key: for AES-128 and for AES-256 in `HAProxy` and nginx.
const LENGTHS: [usize; 2] = [48, 80];
/// What is in every file of certificates or their keys.
const PEM: &[u8] = b"-----BEGIN ";

const NAME_LENGTH: usize = 16;
const SALT_LENGTH: usize = 16;
const TIME_LENGTH: usize = 8;

/// Seals and opens tickets with the keys of a file.
pub(super) struct FileTickets {
    /// The last ones of the file, in its order; at least one.
    keys: Vec<Key>,
    time: Arc<dyn TimeProvider>,
}

struct Key {
    name: [u8; NAME_LENGTH],
    secret: Prk,
}

/// How many bytes to derive.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl FileTickets {
    /// # Errors
    /// When the file is not a file of ticket keys.
    pub(super) fn new(content: &Content, time: Arc<dyn TimeProvider>) -> Result<Self, CertificateError> {
        let bad = |why| CertificateError::BadTicketKey { file: content.file.clone(), why };
        let secrets = secrets(&content.bytes).map_err(bad)?;
        let in_use = secrets.iter().skip(secrets.len().saturating_sub(KEYS_IN_USE));
        let keys: Option<Vec<Key>> = in_use.map(|secret| Key::new(secret)).collect();
        let keys = keys.ok_or_else(|| bad("no key can be derived".to_owned()))?;
        Ok(Self { keys, time })
    }

    /// The last but one, or the only one.
    fn sealing(&self) -> Option<&Key> {
        self.keys.iter().rev().nth(1).or_else(|| self.keys.first())
    }

    fn now(&self) -> Option<u64> {
        Some(self.time.current_time()?.as_secs())
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME_LENGTH)?;
        let (salt, sealed) = rest.split_at_checked(SALT_LENGTH)?;
        let key = self.keys.iter().find(|key| key.name == name)?;
        let cipher = key.cipher(salt)?;
        let mut state = sealed.to_vec();
        let opened = cipher.key.open_in_place(cipher.nonce, Aad::from(name), &mut state).ok()?;
        let (issued, state) = opened.split_at_checked(TIME_LENGTH)?;
        let issued = u64::from_be_bytes(issued.try_into().ok()?);
        let now = self.now()?;
        let is_fresh = now <= issued.saturating_add(LIFETIME_SECONDS.into());
        (is_fresh && issued <= now.saturating_add(CLOCKS_APART_SECONDS)).then(|| state.to_vec())
    }
}

/// The keys in a file, in its order; at least one. What is text is never taken for a key itself: it may be
/// a certificate, and known to everybody. Random bytes are no text.
fn secrets(bytes: &[u8]) -> Result<Vec<Zeroizing<Vec<u8>>>, String> {
    // The key of a certificate, named by mistake: its first bytes are the same for all of its kind.
    if bytes.windows(PEM.len()).any(|part| part == PEM) {
        return Err("it is a PEM file".to_owned());
    }
    if std::str::from_utf8(bytes).is_err() {
        if LENGTHS.contains(&bytes.len()) {
            return Ok(vec![Zeroizing::new(bytes.to_vec())]);
        }
        return Err(format!("a key has 48 or 80 bytes, and this file has {}", bytes.len()));
    }
    let mut found: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let secret = BASE64.decode(line).map_err(|_| format!("line {number} is not base64"))?;
        let secret = Zeroizing::new(secret);
        if !LENGTHS.contains(&secret.len()) {
            return Err(format!("the key in line {number} has {} bytes", secret.len()));
        }
        found.push(secret);
    }
    if found.is_empty() { Err("it has only empty lines".to_owned()) } else { Ok(found) }
}

/// What seals or opens one ticket.
struct Cipher {
    key: LessSafeKey,
    nonce: Nonce,
}

impl Key {
    fn new(secret: &[u8]) -> Option<Self> {
        let secret = Salt::new(HKDF_SHA256, b"hs2router session tickets 1").extract(secret);
        let mut name = [0; NAME_LENGTH];
        secret.expand(&[b"name"], Length(NAME_LENGTH)).ok()?.fill(&mut name).ok()?;
        Some(Self { name, secret })
    }

    fn cipher(&self, salt: &[u8]) -> Option<Cipher> {
        let mut derived = Zeroizing::new([0; 32 + NONCE_LEN]);
        let length = Length(derived.len());
        self.secret.expand(&[b"ticket", salt], length).ok()?.fill(&mut *derived).ok()?;
        let (key, nonce) = derived.split_at_checked(32)?;
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
        Some(Cipher { key, nonce: Nonce::try_assume_unique_for_key(nonce).ok()? })
    }
}

impl ProducesTickets for FileTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    fn encrypt(&self, state: &[u8]) -> Option<Vec<u8>> {
        let key = self.sealing()?;
        let mut salt = [0; SALT_LENGTH];
        SystemRandom::new().fill(&mut salt).ok()?;
        let Cipher { key: sealing, nonce } = key.cipher(&salt)?;
        let mut sealed = Vec::with_capacity(TIME_LENGTH + state.len() + CHACHA20_POLY1305.tag_len());
        sealed.extend_from_slice(&self.now()?.to_be_bytes());
        sealed.extend_from_slice(state);
        sealing.seal_in_place_append_tag(nonce, Aad::from(key.name), &mut sealed).ok()?;
        Some([key.name.as_slice(), &salt, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(ticket)
    }
}

/// Without the keys.
impl fmt::Debug for FileTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTickets").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}
