//! Keys encrypt so many records and no more.

use rustls::crypto::aws_lc_rs::cipher_suite;
use rustls::{CipherSuiteCommon, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};

use super::*;

/// Records that the keys of these tests encrypt, the last one of the handshake among them.
const RECORDS: u64 = 8;

fn limited(common: &CipherSuiteCommon) -> CipherSuiteCommon {
    let CipherSuiteCommon { suite, hash_provider, .. } = *common;
    CipherSuiteCommon { suite, hash_provider, confidentiality_limit: RECORDS }
}

/// A client and our server, with such keys in this version.
async fn with_limit(
    version: &'static SupportedProtocolVersion,
) -> (tokio_rustls::client::TlsStream<Double>, Io<Double>) {
    let suite = if *version == version::TLS12 {
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    } else {
        cipher_suite::TLS13_AES_128_GCM_SHA256
    };
    let suite = match suite {
        SupportedCipherSuite::Tls12(Tls12CipherSuite { common, prf_provider, kx, sign, aead_alg }) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: limited(common),
                prf_provider: *prf_provider,
                kx: *kx,
                sign,
                aead_alg: *aead_alg,
            })))
        }
        SupportedCipherSuite::Tls13(Tls13CipherSuite { common, hkdf_provider, aead_alg, quic }) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: limited(common),
                hkdf_provider: *hkdf_provider,
                aead_alg: *aead_alg,
                quic: *quic,
            })))
        }
    };
    let of_server = CryptoProvider { cipher_suites: vec![suite], ..aws_lc_rs::default_provider() };
    served(both_with(version, Arc::new(of_server), aws_lc_rs::default_provider()), 64 << 10).await
}

#[tokio::test]
async fn when_the_keys_of_tls_1_2_are_used_up_that_is_what_a_write_says() {
    let (mut client, mut ours) = with_limit(&version::TLS12).await;
    for _ in 0..RECORDS - 1 {
        carry(&mut ours, &mut client, b"some rows").await;
    }
    for _ in 0..2 {
        let error = ours.write_all(b"some more").await.unwrap_err();
        assert!(Failure::is_keys_used_up(&error), "{error}");
        assert!(error.to_string().contains("use TLS 1.3, or connect again"), "{error}");
    }
    // The client is not told that this is the end of what was begun.
    drop(ours);
    assert!(client.read(&mut [0; 4]).await.is_err());
}

#[tokio::test]
async fn the_keys_of_tls_1_3_are_renewed() {
    let (mut client, mut ours) = with_limit(&version::TLS13).await;
    for _ in 0..10 * RECORDS {
        carry(&mut ours, &mut client, b"some rows").await;
        carry(&mut client, &mut ours, b"a call").await;
    }
}
