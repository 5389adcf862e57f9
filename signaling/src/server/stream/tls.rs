//! TLS with a certificate and a key from two files: reads them, checks that they belong together,
//! and replaces them with renewed ones.
//!
//! To use certificates from elsewhere, or to require client certificates, put a proxy in front of
//! the server.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use thiserror::Error;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, InconsistentKeys, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
    server::TlsStream,
};

use super::tcp::Tcp;

/// The most bytes of a response that wait in encrypted form, in addition to those that the system
/// keeps: one TLS record. The library's own default is 64 KiB for each client that reads nothing.
const MAX_ENCRYPTED_BYTES: usize = 16 * 1024;

/// The protocol over TLS. Browsers prefer HTTP/2, whose WebSockets work differently.
const PROTOCOL: &[u8] = b"http/1.1";

/// Why TLS cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is a certificate, but no key.
    #[error("tls-cert is {}, but tls-key is not set: name the PEM file with its private key, too", certificate.display())]
    KeyMissing {
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// There is a key, but no certificate.
    #[error("tls-key is {}, but tls-cert is not set: name the PEM file with its certificates, too", key.display())]
    CertificateMissing {
        /// The file of the key.
        key: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}; check that it exists, and that this user may read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// A file is damaged.
    #[error("{} is damaged: {source}; get it again", path.display())]
    BadPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The certificate file contains no certificate.
    #[error("there is no certificate in {}: tls-cert is a PEM file with the whole chain, the server's own first", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key file contains no key.
    #[error("there is no private key in {}: tls-key is a PEM file with the key of the certificate, without a password", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The certificate and the key do not belong together.
    #[error("the key in {} is not that of the first certificate in {}: name two that were made together", key.display(), certificate.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The type of the certificate or of the key is not supported.
    #[error("cannot use {} with {}: {source}; get them again", certificate.display(), key.display())]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

/// The certificate of a running server. It can be replaced while the server runs: new connections
/// get the new certificate, and open connections stay as they are.
#[derive(Clone, Debug)]
pub struct Certificate(Arc<Loaded>);

#[derive(Debug)]
struct Loaded {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the certificate, if the settings name one.
    pub(crate) fn open(
        certificate: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Option<Self>, TlsError> {
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(certificate), None) => {
                Err(TlsError::KeyMissing { certificate: certificate.to_owned() })
            }
            (None, Some(key)) => Err(TlsError::CertificateMissing { key: key.to_owned() }),
            (Some(certificate), Some(key)) => {
                let current = RwLock::new(Arc::new(load(certificate, key)?));
                let (certificate, key) = (certificate.to_owned(), key.to_owned());
                Ok(Some(Self(Arc::new(Loaded { certificate, key, current }))))
            }
        }
    }

    /// Reads the files again, for connections from now on.
    ///
    /// # Errors
    ///
    /// Why the new files cannot be used. The server continues with the old ones.
    pub fn reload(&self) -> Result<(), TlsError> {
        let renewed = Arc::new(load(&self.0.certificate, &self.0.key)?);
        // Nobody panics while holding the lock, and its content is always complete.
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }
}

impl ResolvesServerCert for Loaded {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let damaged = |path: &Path, source| TlsError::BadPem { path: path.to_owned(), source };
    let pem = read(certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|source| damaged(certificate, source))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: certificate.to_owned() });
    }
    let private_key =
        PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|source| match source {
            pem::Error::NoItemsFound => TlsError::NoKey { path: key.to_owned() },
            source => damaged(key, source),
        })?;
    let certified = CertifiedKey::from_der(chain, private_key, &ring::default_provider());
    certified.map_err(|source| {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        match source {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { certificate, key }
            }
            source => TlsError::Unusable { certificate, key, source },
        }
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

/// Turns TCP connections into TLS connections.
#[derive(Clone)]
pub(crate) struct Handshake(TlsAcceptor);

impl Handshake {
    pub(crate) fn new(certificate: &Certificate) -> Self {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has all that the default versions take");
        let resolver: Arc<dyn ResolvesServerCert> = certificate.0.clone();
        let mut config = config.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Self(TlsAcceptor::from(Arc::new(config)))
    }

    /// Performs the handshake, with whatever a stranger sends, at any speed.
    pub(crate) async fn with(&self, stream: Tcp) -> io::Result<TlsStream<Tcp>> {
        let mut stream = self.0.accept(stream).await?;
        stream.get_mut().1.set_buffer_limit(Some(MAX_ENCRYPTED_BYTES));
        Ok(stream)
    }
}
