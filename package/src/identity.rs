//! Who signs: an RSA key and its certificates, given or made.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr as _,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use der::{
    Decode as _, DecodePem as _, EncodePem as _, asn1::OctetString, oid::db::rfc5280::ID_KP_CODE_SIGNING,
    pem::LineEnding,
};
use rsa::{
    Pkcs1v15Sign, RsaPrivateKey,
    pkcs1v15::SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _},
    rand_core::OsRng,
    sha2::{Digest as _, Sha256},
};
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::{
    Certificate,
    builder::{Builder as _, CertificateBuilder, Profile},
    ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier},
    name::Name,
    serial_number::SerialNumber,
    time::Validity,
};

const PASSWORD: &str = "DCO_PACKAGE_PASSWORD";
const BITS: usize = 3072;
const LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Machines whose clock is a little behind accept it too.
const MADE_BEFORE: Duration = Duration::from_secs(24 * 60 * 60);
const NAME: &str = "CN=ovpn-dco test signing";

/// Where certificates and key lie, if they are given.
#[derive(Default)]
pub struct Files {
    /// PEM, the signer's first; or PKCS #12.
    pub certificates: Option<PathBuf>,
    /// PKCS #8, PEM; none with PKCS #12.
    pub key: Option<PathBuf>,
}

/// A key and the certificates that go with it.
pub struct Identity {
    key: RsaPrivateKey,
    /// The signer's own, then those above it.
    pub chain: Vec<Certificate>,
    /// Made by this program: the user has to be told to trust it.
    pub made_here: bool,
}

impl Identity {
    fn new(key: RsaPrivateKey, chain: Vec<Certificate>, made_here: bool) -> Result<Self> {
        let identity = Self { key, chain, made_here };
        let public = public_key(&identity.key)?;
        ensure!(
            identity.certificate()?.tbs_certificate.subject_public_key_info.subject_public_key
                == public.subject_public_key,
            "the first certificate is not of this key"
        );
        Ok(identity)
    }

    /// The signer's own.
    pub fn certificate(&self) -> Result<&Certificate> {
        self.chain.first().context("no certificate")
    }

    /// An RSA signature (PKCS #1 v1.5, SHA-256) of these bytes; the same each time.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        // The random numbers blind the computation, and leave the result as it is.
        Ok(self.key.sign_with_rng(&mut OsRng, Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(bytes))?)
    }
}

/// The given identity; or the one kept in `folder`, made if there is none.
pub fn load_or_make(files: &Files, folder: &Path) -> Result<Identity> {
    let (certificate, key) = (folder.join("test.pem"), folder.join("test.key"));
    match (&files.certificates, &files.key) {
        (Some(path), None) => from_pkcs12(path).with_context(|| path.display().to_string()),
        (Some(path), Some(key)) => from_pem(path, key, false),
        (None, Some(_)) => anyhow::bail!("--key without --cert"),
        (None, None) if certificate.is_file() && key.is_file() => from_pem(&certificate, &key, true),
        (None, None) => make(&certificate, &key),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

fn password() -> Option<String> {
    std::env::var(PASSWORD).ok()
}

fn from_pem(certificates: &Path, key: &Path, made_here: bool) -> Result<Identity> {
    let chain = Certificate::load_pem_chain(&read(certificates)?)
        .with_context(|| format!("{}: expected certificates in PEM", certificates.display()))?;
    let text = String::from_utf8(read(key)?)?;
    let key = match password() {
        Some(password) if text.contains("ENCRYPTED") => RsaPrivateKey::from_pkcs8_encrypted_pem(&text, password),
        _ => RsaPrivateKey::from_pkcs8_pem(&text),
    }
    .with_context(|| {
        format!("{}: expected an RSA key, PKCS #8 in PEM (password of an encrypted one: {PASSWORD})", key.display())
    })?;
    Identity::new(key, chain, made_here)
}

/// OpenSSL's program takes the file apart: nothing else here would need what PKCS #12 does.
fn from_pkcs12(path: &Path) -> Result<Identity> {
    let password = password().unwrap_or_default();
    let output = Command::new("openssl")
        .args(["pkcs12", "-nodes", "-passin"])
        .arg(format!("env:{PASSWORD}"))
        .arg("-in")
        .arg(path)
        .env(PASSWORD, &password)
        .output()
        .context("cannot start openssl, which reads PKCS #12")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "expected PKCS #12, and its password in {PASSWORD}; openssl: {}", said.trim());
    let blocks = blocks(std::str::from_utf8(&output.stdout)?);
    let key = blocks.iter().find(|block| block.contains("PRIVATE KEY")).context("no private key in it")?;
    let key = RsaPrivateKey::from_pkcs8_pem(key).context("not an RSA key")?;
    let mut chain = blocks
        .iter()
        .filter(|block| block.contains("BEGIN CERTIFICATE"))
        .map(|block| Ok(Certificate::from_pem(block)?))
        .collect::<Result<Vec<_>>>()?;
    let public = public_key(&key)?;
    // The signer's first.
    chain
        .sort_by_key(|one| one.tbs_certificate.subject_public_key_info.subject_public_key != public.subject_public_key);
    Identity::new(key, chain, false)
}

/// The parts of a PEM file, without the text between them.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block = String::new();
    for line in text.lines() {
        if line.starts_with("-----BEGIN ") || !block.is_empty() {
            block.push_str(line);
            block.push('\n');
        }
        if line.starts_with("-----END ") {
            blocks.push(std::mem::take(&mut block));
        }
    }
    blocks
}

fn public_key(key: &RsaPrivateKey) -> Result<SubjectPublicKeyInfoOwned> {
    Ok(SubjectPublicKeyInfoOwned::from_der(key.to_public_key().to_public_key_der()?.as_bytes())?)
}

/// A key and a certificate for it, signed by itself: for code signing, and for nothing else.
fn make(certificate: &Path, key: &Path) -> Result<Identity> {
    let private = RsaPrivateKey::new(&mut OsRng, BITS)?;
    let signer = SigningKey::<Sha256>::new(private.clone());
    let public = public_key(&private)?;
    let hash = Sha256::digest(public.subject_public_key.raw_bytes());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let time = |since: Duration| -> Result<_> { Ok(der::asn1::UtcTime::from_unix_duration(since)?.into()) };
    let validity = Validity { not_before: time(now - MADE_BEFORE)?, not_after: time(now + LIFETIME)? };
    // The highest bit of a serial number is its sign.
    let serial = SerialNumber::new(&[&[0x40], &hash[..15]].concat())?;
    let mut builder = CertificateBuilder::new(
        Profile::Manual { issuer: None },
        serial,
        validity,
        Name::from_str(NAME)?,
        public,
        &signer,
    )?;
    builder.add_extension(&KeyUsage(KeyUsages::DigitalSignature.into()))?;
    builder.add_extension(&ExtendedKeyUsage(vec![ID_KP_CODE_SIGNING]))?;
    builder.add_extension(&SubjectKeyIdentifier(OctetString::new(&hash[..20])?))?;
    let made = builder.build::<rsa::pkcs1v15::Signature>()?;

    let folder = key.parent().context("no folder for the key")?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(key).with_context(|| key.display().to_string())?;
    file.write_all(private.to_pkcs8_pem(LineEnding::LF)?.as_bytes())?;
    fs::write(certificate, made.to_pem(LineEnding::LF)?).with_context(|| certificate.display().to_string())?;
    Identity::new(private, vec![made], true)
}
