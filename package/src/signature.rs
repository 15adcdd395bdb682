//! PKCS #7 SignedData as Authenticode wants it: version 1, the content in place and not wrapped in an octet string.

use anyhow::{Context as _, Result};
use cms::{
    cert::{CertificateChoices, IssuerAndSerialNumber},
    content_info::{CmsVersion, ContentInfo},
    signed_data::{CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos},
};
use der::{
    Any, Encode as _,
    asn1::{ObjectIdentifier, OctetString, SetOfVec},
};
use sha2::{Digest as _, Sha256};
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::{Attribute, Attributes};

use crate::{identity::Identity, spc};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SPC_STATEMENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.11");
const SPC_OPUS_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.12");
const SPC_INDIVIDUAL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.21");

/// The content, signed; without an identity the same structure with no signature in it. DER.
pub fn pkcs7(content_type: ObjectIdentifier, content: Any, identity: Option<&Identity>) -> Result<Vec<u8>> {
    let mut data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::new(),
        encap_content_info: EncapsulatedContentInfo { econtent_type: content_type, econtent: Some(content) },
        certificates: None,
        crls: None,
        signer_infos: SignerInfos(SetOfVec::new()),
    };
    if let Some(identity) = identity {
        data.digest_algorithms.insert(spc::sha256())?;
        data.signer_infos.0.insert(signer_info(&data.encap_content_info, identity)?)?;
        let chain = identity.chain.iter().cloned().map(CertificateChoices::Certificate).collect::<Vec<_>>();
        data.certificates = Some(CertificateSet(SetOfVec::try_from(chain)?));
    }
    Ok(ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&data)? }.to_der()?)
}

fn signer_info(content: &EncapsulatedContentInfo, identity: &Identity) -> Result<SignerInfo> {
    // Of PKCS #7: the contents of the element, without its tag and length.
    let digest = Sha256::digest(content.econtent.as_ref().context("no content")?.value());
    let mut attributes: Attributes = SetOfVec::new();
    for (oid, value) in [
        (CONTENT_TYPE, Any::encode_from(&content.econtent_type)?),
        (MESSAGE_DIGEST, Any::encode_from(&OctetString::new(digest.as_slice())?)?),
        (SPC_STATEMENT_TYPE, Any::encode_from(&vec![SPC_INDIVIDUAL])?),
        (SPC_OPUS_INFO, Any::encode_from(&Vec::<ObjectIdentifier>::new())?),
    ] {
        attributes.insert(Attribute { oid, values: SetOfVec::try_from(vec![value])? })?;
    }
    let signature = identity.sign(&attributes.to_der()?)?;
    let certificate = &identity.certificate()?.tbs_certificate;
    Ok(SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: certificate.issuer.clone(),
            serial_number: certificate.serial_number.clone(),
        }),
        digest_alg: spc::sha256(),
        signed_attrs: Some(attributes),
        signature_algorithm: AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters: Some(Any::null()) },
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    })
}
