//! Tickets that tests mint: they have the service's key, so they can write into a ticket what no KDC would, and be
//! either side of a handshake without the library that the router has (RFC 4120, RFC 4121). The ciphers are
//! kerbcore's.

mod acceptor;
mod context;
mod keys;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hs2router::clock;
use kerbcore::client::{
    AP_OPTS_MUTUAL_REQUIRED, KU_AP_REP_ENC_PART, KU_AP_REQ_AUTH, parse_ap_rep, unix_to_kerberos_time,
    verify_ap_rep,
};
use kerbcore::der::{
    TAG_BIT_STRING, TAG_GENERAL_STRING, application_tag, encode_generalized_time, encode_integer,
    encode_octet_string, encode_sequence, explicit, tlv,
};
use kerbcore::gss::{TOK_ID_AP_REP, TOK_ID_AP_REQ, initial_context_token, parse_initial_context_token};
use kerbcore::messages::Ticket;
use kerbcore::types::{EncryptedData, EncryptionKey, PrincipalName};
use kerbcore::{Enctype, KerberosKey, acceptor::KU_TICKET};

pub(crate) use self::acceptor::{Accepted, accept};
pub(crate) use self::context::{Context, Side};
pub(crate) use self::keys::Service;
use super::kdc::{self, REALM};

/// The cipher of all keys here.
const CIPHER: Enctype = Enctype::Aes256CtsHmacSha1_96;
/// The type of the checksum that carries what GSSAPI wants to tell (RFC 4121 §4.1.1), and the flags in it: to be
/// proven in return, in sequence, signed.
const OF_GSSAPI: i32 = 0x8003;
const MUTUAL: u32 = 2;
const IN_SEQUENCE_AND_SIGNED: u32 = 8 | 32;
/// The number of the client's first token.
const FIRST_NUMBER: u32 = 0x1234_5678;
/// The type of authorization data that nobody has to understand, and one that nobody knows.
const IF_RELEVANT: i64 = 1;
const UNKNOWN: i64 = 4096;

/// What is minted. A test changes what it is about.
#[derive(Clone)]
pub(crate) struct Mint {
    pub(crate) service: Service,
    /// The parts of the client's name, and its realm.
    pub(crate) client: Vec<Vec<u8>>,
    pub(crate) realm: Vec<u8>,
    /// From when until when the ticket is good, and the client's clock.
    pub(crate) begins: SystemTime,
    pub(crate) ends: SystemTime,
    pub(crate) clock: SystemTime,
    /// The cipher that the ticket names (enctype).
    pub(crate) cipher: i32,
    /// How many bytes of authorization data the ticket has: with Active Directory, the user's groups.
    pub(crate) groups: usize,
    /// Whether the acceptor is to prove itself.
    pub(crate) is_mutual: bool,
}

impl Mint {
    /// A good ticket of this user's for `impala/localhost`.
    pub(crate) fn of(user: &str) -> Self {
        let now = clock::time_of_day();
        Self {
            service: Service::of(&kdc::shared().keytab(), "impala/localhost"),
            client: vec![user.into()],
            realm: REALM.into(),
            begins: now - Duration::from_mins(1),
            ends: now + Duration::from_hours(1),
            clock: now,
            cipher: CIPHER.to_i32(),
            groups: 0,
            is_mutual: true,
        }
    }

    /// A ticket, a fresh authenticator for it, and the token with both.
    pub(crate) fn strike(&self) -> Initiator {
        let session = fresh_key();
        let key = fresh_key();
        let since = self.clock.duration_since(UNIX_EPOCH).unwrap();
        let (time, micros) = (unix_to_kerberos_time(since.as_secs()), since.subsec_micros().cast_signed());
        let authenticator = self.authenticator(&key, &time, micros);
        let authenticator = EncryptedData {
            etype: CIPHER.to_i32(),
            kvno: None,
            cipher: session.encrypt(KU_AP_REQ_AUTH, &authenticator),
        };
        let options = if self.is_mutual { AP_OPTS_MUTUAL_REQUIRED } else { 0 };
        let request = [
            explicit(0, &encode_integer(5)),
            explicit(1, &encode_integer(14)),
            explicit(2, &bits(options)),
            explicit(3, &self.ticket(&session)),
            explicit(4, &authenticator.encode()),
        ];
        let request = tlv(application_tag(14), &encode_sequence(&request.concat()));
        let token = initial_context_token(TOK_ID_AP_REQ, &request);
        Initiator { token, session, key, time, micros }
    }

    fn ticket(&self, session: &KerberosKey) -> Vec<u8> {
        let Service { name, realm, version, key } = self.service.clone();
        let mut inside = [
            explicit(0, &bits(0)),
            explicit(1, &encoded(session)),
            explicit(2, &tlv(TAG_GENERAL_STRING, &self.realm)),
            explicit(3, &self.name()),
            // The realms in between: none.
            explicit(4, &encode_sequence(&[typed(0, 1), explicit(1, &encode_octet_string(b""))].concat())),
            explicit(5, &time(self.begins)),
            explicit(6, &time(self.begins)),
            explicit(7, &time(self.ends)),
        ]
        .concat();
        if self.groups > 0 {
            let unknown = encode_sequence(&data(UNKNOWN, &vec![7; self.groups]));
            inside.extend(explicit(10, &encode_sequence(&data(IF_RELEVANT, &unknown))));
        }
        let inside = tlv(application_tag(3), &encode_sequence(&inside));
        let cipher = key.encrypt(KU_TICKET, &inside);
        let enc_part = EncryptedData { etype: self.cipher, kvno: Some(version.into()), cipher };
        let sname = PrincipalName { name_type: 2, name_string: name };
        Ticket { tkt_vno: 5, realm, sname, enc_part }.encode()
    }

    fn authenticator(&self, key: &KerberosKey, time: &str, micros: i32) -> Vec<u8> {
        let flags = IN_SEQUENCE_AND_SIGNED | if self.is_mutual { MUTUAL } else { 0 };
        // The length of the channel bindings and no bindings, in the order of bytes that this has alone.
        let told = [&16_u32.to_le_bytes()[..], &[0; 16], &flags.to_le_bytes()].concat();
        let checksum = [typed(0, OF_GSSAPI.into()), explicit(1, &encode_octet_string(&told))].concat();
        let inside = [
            typed(0, 5),
            explicit(1, &tlv(TAG_GENERAL_STRING, &self.realm)),
            explicit(2, &self.name()),
            explicit(3, &encode_sequence(&checksum)),
            typed(4, micros.into()),
            explicit(5, &encode_generalized_time(time)),
            explicit(6, &encoded(key)),
            typed(7, FIRST_NUMBER.into()),
        ];
        tlv(application_tag(2), &encode_sequence(&inside.concat()))
    }

    fn name(&self) -> Vec<u8> {
        let parts: Vec<u8> = self.client.iter().flat_map(|part| tlv(TAG_GENERAL_STRING, part)).collect();
        encode_sequence(&[typed(0, 1), explicit(1, &encode_sequence(&parts))].concat())
    }
}

/// The client's side of a handshake that has begun.
pub(crate) struct Initiator {
    /// What the acceptor gets.
    pub(crate) token: Vec<u8>,
    session: KerberosKey,
    key: KerberosKey,
    time: String,
    micros: i32,
}

impl Initiator {
    /// Goes on without a proof of the acceptor's.
    pub(crate) fn unproven(self) -> Context {
        let number = u64::from(FIRST_NUMBER);
        // Who was not asked to prove itself begins with the other side's number (RFC 4121 §4.1).
        let (next, expected) = (number, number);
        Context { side: Side::Initiator, key: self.key, is_acceptors_key: false, next, expected }
    }

    /// Goes on when the acceptor has proven with this token that it could read the ticket.
    pub(crate) fn proven(self, token: &[u8]) -> Context {
        let (kind, reply) = parse_initial_context_token(token).unwrap();
        assert_eq!(kind, TOK_ID_AP_REP);
        let sealed = parse_ap_rep(&reply).unwrap();
        let opened = self.session.decrypt(KU_AP_REP_ENC_PART, &sealed.cipher).unwrap();
        let proof = verify_ap_rep(&opened, &self.time, self.micros).expect("it repeats the client's time");
        let expected = proof.seq_number.expect("it numbers its tokens").into();
        let chosen = proof.subkey.map(|key| KerberosKey::from_i32(key.keytype, key.keyvalue).unwrap());
        let context = self.unproven();
        match chosen {
            Some(key) => Context { key, is_acceptors_key: true, expected, ..context },
            None => Context { expected, ..context },
        }
    }
}

/// A key that nobody else has.
pub(crate) fn fresh_key() -> KerberosKey {
    KerberosKey::new(CIPHER, rand::random::<[u8; 32]>().to_vec()).unwrap()
}

fn encoded(key: &KerberosKey) -> Vec<u8> {
    EncryptionKey { keytype: CIPHER.to_i32(), keyvalue: key.key().to_vec() }.encode()
}

fn bits(bits: u32) -> Vec<u8> {
    tlv(TAG_BIT_STRING, &[&[0][..], &bits.to_be_bytes()].concat())
}

fn typed(number: u8, value: i64) -> Vec<u8> {
    explicit(number, &encode_integer(value))
}

fn time(at: SystemTime) -> Vec<u8> {
    let since = at.duration_since(UNIX_EPOCH).unwrap();
    encode_generalized_time(&unix_to_kerberos_time(since.as_secs()))
}

/// An element of authorization data.
fn data(kind: i64, content: &[u8]) -> Vec<u8> {
    encode_sequence(&[typed(0, kind), explicit(1, &encode_octet_string(content))].concat())
}
