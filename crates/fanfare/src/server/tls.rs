//! Encryption: a certificate and a key from PEM files.

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the certificate and its key are. TLS 1.2 and 1.3 are spoken.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The PEM file with the certificate, followed by those that lead to a known authority.
    pub cert: PathBuf,
    /// The PEM file with the certificate's private key (PKCS#8, PKCS#1 or SEC1), not encrypted.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is missing, or may not be read.
    #[error("{} cannot be read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file has something in it that looks like PEM and is not.
    #[error("{} is not a PEM file: {problem}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where it goes wrong.
        problem: String,
    },
    /// The certificate's file has none.
    #[error("{} has no certificate: a line -----BEGIN CERTIFICATE----- was expected", file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// The key's file has none.
    #[error("{} has no private key: a line -----BEGIN PRIVATE KEY----- was expected", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// The key asks for a passphrase, and there is nobody to give it.
    #[error(
        "the private key in {} is encrypted; decrypt it with: openssl pkey -in {} -out plain.pem",
        file.display(),
        file.display()
    )]
    EncryptedKey {
        /// The file.
        file: PathBuf,
    },
    /// Certificate and key are of different pairs.
    #[error("the private key in {} is not that of the certificate in {}", key.display(), cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Of a kind that is not supported, or broken inside.
    #[error("{} and {} cannot be used: {source}", cert.display(), key.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// Reads both files.
pub(super) fn load(settings: &TlsSettings) -> Result<Arc<ServerConfig>, TlsError> {
    let TlsSettings { cert, key } = settings;
    let unusable = |source| TlsError::Unusable { cert: cert.clone(), key: key.clone(), source };
    let chain = certificates(cert)?;
    let private = private_key(key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { cert: cert.clone(), key: key.clone() }
            }
            other => unusable(other),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Who comes back resumes without the costly part of the handshake, and the server keeps
    // nothing for it.
    config.ticketer = ring::Ticketer::new().map_err(unusable)?;
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| malformed(file, &error))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { file: file.to_owned() });
    }
    Ok(chain)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(file)?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => {
            let file = file.to_owned();
            let encrypted = String::from_utf8_lossy(&text).contains("BEGIN ENCRYPTED PRIVATE KEY");
            Err(if encrypted { TlsError::EncryptedKey { file } } else { TlsError::NoKey { file } })
        }
        Err(error) => Err(malformed(file, &error)),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Unreadable { file: file.to_owned(), source })
}

fn malformed(file: &Path, error: &pem::Error) -> TlsError {
    // The library's words show bytes of the file, which may be those of a key.
    let problem = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no -----END line",
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is not closed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "a section cannot be read",
    };
    TlsError::Malformed { file: file.to_owned(), problem: problem.to_owned() }
}
