//! TLS of the listener. The files of the certificate are looked at every few seconds: a changed pair serves the
//! connections that come after, and one that can't be used is told in the log while the former stays.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Why a certificate and its key can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file can't be read.
    #[error("read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file isn't what it should be.
    #[error("{} holds no {what} in PEM form", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// The two don't belong together, or are of a kind that isn't supported.
    #[error("use {} with {}", certificate.display(), key.display())]
    Unusable {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

/// The certificate that the listener shows.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    served: Mutex<Served>,
}

struct Served {
    config: Arc<ServerConfig>,
    /// What the files looked like when they were last read, well or not.
    stamps: [Option<Stamp>; 2],
}

/// What changes when a file is replaced or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok(), bytes: metadata.len() })
    }
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let stamps = [Stamp::of(certificate), Stamp::of(key)];
        let served = Mutex::new(Served { config: read(certificate, key)?, stamps });
        Ok(Self { certificate: certificate.to_path_buf(), key: key.to_path_buf(), served })
    }

    /// What a new connection is greeted with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.served.lock().unwrap_or_else(PoisonError::into_inner).config))
    }

    /// Looks at the files for as long as it is polled.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let tls = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || tls.look_again()).await;
            match looked {
                Ok(Ok(true)) => tracing::info!(certificate = %self.certificate.display(), "took the new certificate"),
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the changed certificate can't be used; the former one stays");
                }
                Ok(Ok(false)) | Err(_) => {}
            }
        }
    }

    /// Takes the files as they are now if they changed; whether they did. After an error the former pair stays, and
    /// nothing is said again before a file changes again.
    fn look_again(&self) -> Result<bool, TlsError> {
        let stamps = [Stamp::of(&self.certificate), Stamp::of(&self.key)];
        {
            let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
            if served.stamps == stamps {
                return Ok(false);
            }
            served.stamps = stamps;
        }
        let config = read(&self.certificate, &self.key)?;
        self.served.lock().unwrap_or_else(PoisonError::into_inner).config = config;
        Ok(true)
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let malformed = |path: &Path, what| TlsError::Malformed { path: path.to_path_buf(), what };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(certificate)?).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| malformed(certificate, "certificate"))?;
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?).map_err(|_| malformed(key, "private key"))?;
    let unusable =
        |source| TlsError::Unusable { certificate: certificate.to_path_buf(), key: key.to_path_buf(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn certificate(&self) -> PathBuf {
            self.folder.path().join("tls.crt")
        }

        fn key(&self) -> PathBuf {
            self.folder.path().join("tls.key")
        }

        /// Replaces a file as a Secret's volume does, with another time of change.
        fn put(path: &Path, text: &str, age: u64) {
            std::fs::write(path, text).unwrap();
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + age)).unwrap();
        }

        fn put_pair(&self, age: u64) {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            Self::put(&self.certificate(), &made.cert.pem(), age);
            Self::put(&self.key(), &made.signing_key.serialize_pem(), age);
        }

        fn load(&self) -> Result<Tls, TlsError> {
            Tls::load(&self.certificate(), &self.key())
        }
    }

    fn served(tls: &Tls) -> Arc<ServerConfig> {
        Arc::clone(&tls.served.lock().unwrap().config)
    }

    #[test]
    fn a_changed_pair_is_taken_and_a_bad_one_is_not() {
        let files = Files::new();
        files.put_pair(1);
        let tls = files.load().unwrap();
        let first = served(&tls);
        assert!(!tls.look_again().unwrap(), "nothing changed");

        files.put_pair(2);
        assert!(tls.look_again().unwrap());
        let second = served(&tls);
        assert!(!Arc::ptr_eq(&first, &second));

        Files::put(&files.key(), "-----BEGIN PRIVATE KEY-----\nAAAA\n", 3);
        assert!(tls.look_again().is_err());
        assert!(!tls.look_again().unwrap(), "the same trouble is told once");
        assert!(Arc::ptr_eq(&second, &served(&tls)));

        std::fs::remove_file(files.certificate()).unwrap();
        assert!(matches!(tls.look_again(), Err(TlsError::Read { .. })));
        files.put_pair(4);
        assert!(tls.look_again().unwrap());
    }

    #[test]
    fn pairs_that_do_not_fit_are_refused() {
        let files = Files::new();
        assert!(matches!(files.load(), Err(TlsError::Read { .. })));
        files.put_pair(1);
        let certificate = std::fs::read_to_string(files.certificate()).unwrap();
        let key = std::fs::read_to_string(files.key()).unwrap();
        for (certificate, key, expected) in [
            ("", key.as_str(), "tls.crt holds no certificate in PEM form"),
            (key.as_str(), key.as_str(), "tls.crt holds no certificate in PEM form"),
            (certificate.as_str(), certificate.as_str(), "tls.key holds no private key in PEM form"),
        ] {
            Files::put(&files.certificate(), certificate, 2);
            Files::put(&files.key(), key, 2);
            let error = files.load().map(drop).unwrap_err();
            assert!(error.to_string().ends_with(expected), "{error}");
        }
        files.put_pair(3);
        Files::put(&files.certificate(), &certificate, 4);
        assert!(matches!(files.load(), Err(TlsError::Unusable { .. })));
    }
}
