//! A service's key, out of a keytab (krb5 documentation, `formats/keytab_file_format`).

use std::fs;
use std::path::Path;

use kerbcore::{Enctype, KerberosKey};

/// A service that clients get tickets for, with its key.
#[derive(Clone)]
pub(crate) struct Service {
    /// `impala`, `localhost`.
    pub(crate) name: Vec<String>,
    pub(crate) realm: String,
    /// Of the key (kvno).
    pub(crate) version: u8,
    pub(crate) key: KerberosKey,
}

impl Service {
    /// The one with this name, such as `impala/localhost`, and its key for AES with 256 bits.
    pub(crate) fn of(keytab: &Path, name: &str) -> Self {
        let bytes = fs::read(keytab).unwrap();
        let mut rest = Reader(&bytes);
        assert_eq!(rest.take(2), [5, 2]);
        while !rest.0.is_empty() {
            // A hole has a negative length; those that `ktadd` writes have none.
            let length = u32::from_be_bytes(rest.take(4).try_into().unwrap());
            let mut entry = Reader(rest.take(length as usize));
            if let Some(service) = entry.service().filter(|service| service.name.join("/") == name) {
                return service;
            }
        }
        panic!("{} has no such key for {name}", keytab.display());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn number(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn counted(&mut self) -> &'a [u8] {
        let length = self.number();
        self.take(length.into())
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.counted().to_vec()).unwrap()
    }

    /// The service of an entry; none if its key is for another cipher.
    fn service(&mut self) -> Option<Service> {
        let components = self.number();
        let realm = self.text();
        let name = (0..components).map(|_| self.text()).collect();
        let _type_and_time = self.take(8);
        let version = self.take(1)[0];
        let cipher = i32::from(self.number());
        let key = self.counted().to_vec();
        let is_aes = cipher == Enctype::Aes256CtsHmacSha1_96.to_i32();
        is_aes.then(|| Service { name, realm, version, key: KerberosKey::from_i32(cipher, key).unwrap() })
    }
}
