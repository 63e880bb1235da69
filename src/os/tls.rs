//! What TLS is made of: ciphers, key exchanges and signatures, out of the library's.
//!
//! Owns the choice, and nothing of how they work. The whole set would make the program larger by a thirtieth.
//!
//! Source: RFC 8446, section 9.1, and RFC 9325, section 4.2, for what every server has to be able to.

use std::{io, sync::Arc};

use rustls::{
    CertificateError, Error, OtherError, SignatureScheme,
    crypto::{
        CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
        ring::{cipher_suite as suite, kx_group},
    },
    pki_types::PrivateKeyDer,
    sign::SigningKey,
};
use webpki::ring as signature;

/// For a client that shows no certificate of its own.
///
/// Ed25519 is for gateways, whose certificates are made by hand; no public authority signs with it.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            suite::TLS13_AES_128_GCM_SHA256,
            suite::TLS13_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ],
        kx_groups: vec![kx_group::SECP256R1, kx_group::SECP384R1],
        signature_verification_algorithms: SIGNATURES,
        secure_random: &Kernel,
        key_provider: &NoKeys,
    }
}

/// Whether what came was nothing that TLS could begin with.
pub fn is_none(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(Error::InvalidMessage(_)))
}

/// Why a certificate is not trusted, and what to do about it, if that is what is wrong.
pub fn distrust(error: &io::Error) -> Option<&'static str> {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(Error::InvalidCertificate(why)) = inner else {
        return None;
    };
    let is_both = |other: &OtherError| {
        let inner = other.0.downcast_ref();
        matches!(inner, Some(webpki::Error::CaUsedAsEndEntity))
    };
    Some(match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; renew it there"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name; correct the host in the URL, or the certificate"
        }
        CertificateError::Other(other) if is_both(other) => {
            "its certificate is that of an authority (CA:TRUE), which no server's may be; make another there, and trust it: \
             openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout key.pem -out cert.pem -subj /CN=HOST \
             -addext subjectAltName=DNS:HOST -addext basicConstraints=critical,CA:FALSE"
        }
        _ => {
            "its certificate is of nobody whom this system trusts; put the certificate of its authority \
             into /usr/local/share/ca-certificates and run sudo update-ca-certificates, \
             or name a file of all that you trust: Environment=SSL_CERT_FILE=PATH in a drop-in of the unit"
        }
    })
}

/// What certificates are signed with; in TLS 1.2 a scheme leaves the curve open.
const SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        signature::ECDSA_P256_SHA256,
        signature::ECDSA_P256_SHA384,
        signature::ECDSA_P384_SHA256,
        signature::ECDSA_P384_SHA384,
        signature::ED25519,
        signature::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        signature::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        signature::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        signature::RSA_PKCS1_2048_8192_SHA256,
        signature::RSA_PKCS1_2048_8192_SHA384,
        signature::RSA_PKCS1_2048_8192_SHA512,
    ],
    mapping: &[
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[signature::ECDSA_P256_SHA256, signature::ECDSA_P384_SHA256],
        ),
        (
            SignatureScheme::ECDSA_NISTP384_SHA384,
            &[signature::ECDSA_P384_SHA384, signature::ECDSA_P256_SHA384],
        ),
        (SignatureScheme::ED25519, &[signature::ED25519]),
        (
            SignatureScheme::RSA_PSS_SHA256,
            &[signature::RSA_PSS_2048_8192_SHA256_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PSS_SHA384,
            &[signature::RSA_PSS_2048_8192_SHA384_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PSS_SHA512,
            &[signature::RSA_PSS_2048_8192_SHA512_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA256,
            &[signature::RSA_PKCS1_2048_8192_SHA256],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA384,
            &[signature::RSA_PKCS1_2048_8192_SHA384],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA512,
            &[signature::RSA_PKCS1_2048_8192_SHA512],
        ),
    ],
};

/// getrandom(2).
#[derive(Debug)]
struct Kernel;

impl SecureRandom for Kernel {
    fn fill(&self, mut buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        while !buffer.is_empty() {
            let (filled, rest) =
                rustix::rand::getrandom(&mut *buffer, rustix::rand::GetRandomFlags::empty())
                    .ok()
                    .and_then(|length| buffer.split_at_mut_checked(length))
                    .ok_or(GetRandomFailed)?;
            if filled.is_empty() {
                return Err(GetRandomFailed);
            }
            buffer = rest;
        }
        Ok(())
    }
}

/// No private key is ever loaded.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("a client has no key here".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_trusted_is_answered_by_what_is_wrong_with_it() {
        let said = |error: Error| distrust(&io::Error::other(error));
        let of = |why: CertificateError| said(Error::InvalidCertificate(why)).unwrap();
        let other = |why: webpki::Error| of(CertificateError::Other(OtherError(Arc::new(why))));
        for (said, expected) in [
            (of(CertificateError::Expired), "has expired"),
            (of(CertificateError::NotValidForName), "for another name"),
            (other(webpki::Error::CaUsedAsEndEntity), "CA:TRUE"),
            (other(webpki::Error::BadDer), "nobody whom this system"),
            (
                of(CertificateError::UnknownIssuer),
                "nobody whom this system",
            ),
        ] {
            assert!(said.contains(expected), "{said}");
        }
        assert_eq!(said(Error::HandshakeNotComplete), None);
        assert_eq!(distrust(&io::ErrorKind::BrokenPipe.into()), None);
    }

    #[test]
    fn what_is_no_tls_is_told_from_tls_that_fails() {
        let garbage = Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert!(is_none(&io::Error::other(garbage)));
        assert!(!is_none(&io::Error::other(Error::HandshakeNotComplete)));
        assert!(!is_none(&io::ErrorKind::BrokenPipe.into()));
    }
}
