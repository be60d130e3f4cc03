//! An authority of the test's own and certificates signed by it.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// An authority whose certificate peers are told to trust.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The authority's own certificate, in PEM.
    pub certificate: PathBuf,
    folder: PathBuf,
}

/// A certificate and its key, in PEM files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Both in one file, as some peers want them.
    pub both: PathBuf,
}

impl Authority {
    /// A new authority that writes its files into this folder.
    pub fn new(folder: &Path) -> Authority {
        let key = KeyPair::generate().expect("a key from the default algorithm");
        let mut params = CertificateParams::new(Vec::new()).expect("no names to reject");
        params.distinguished_name.push(DnType::CommonName, "Interop test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).expect("a valid authority");
        let file = folder.join("authority.pem");
        write(&file, &certificate.pem());
        Authority { issuer: Issuer::new(params, key), certificate: file, folder: folder.to_owned() }
    }

    /// A certificate for these DNS names and IP addresses.
    pub fn identity(&self, file_name: &str, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let common_name = names.first().expect("a certificate names somebody").clone();
        let key = KeyPair::generate().expect("a key from the default algorithm");
        let mut params = CertificateParams::new(names).expect("names of a test are valid");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let certificate = params.signed_by(&key, &self.issuer).expect("a valid certificate");
        let identity = Identity {
            certificate: self.folder.join(format!("{file_name}.pem")),
            key: self.folder.join(format!("{file_name}.key")),
            both: self.folder.join(format!("{file_name}-both.pem")),
        };
        write(&identity.certificate, &certificate.pem());
        write(&identity.key, &key.serialize_pem());
        write(&identity.both, &format!("{}{}", certificate.pem(), key.serialize_pem()));
        identity
    }
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).expect("the run folder is writable");
}
