//! Microsoft's structures inside a signature or a catalog, by the names of its Authenticode documents ("SPC": software publisher
//! certificate).

use anyhow::Result;
use der::{
    Any, AnyRef, Encode as _, Sequence, Tag, TagNumber,
    asn1::{BitString, ObjectIdentifier, OctetString},
};
use spki::AlgorithmIdentifierOwned;

use crate::pe::Digest;

pub const SPC_INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
const SPC_PE_IMAGE_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");
/// Of a cabinet once; of any file that is hashed as it is.
const SPC_CAB_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.25");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// How a file was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A PE image: by [`crate::pe::digest`].
    Image,
    /// All of its bytes.
    Flat,
}

/// SpcIndirectDataContent: a file's digest, and how it was computed.
#[derive(Sequence)]
pub struct IndirectData {
    data: TypeAndValue,
    digest: DigestInfo,
}

#[derive(Sequence)]
struct TypeAndValue {
    kind: ObjectIdentifier,
    value: Any,
}

#[derive(Sequence)]
struct DigestInfo {
    algorithm: AlgorithmIdentifierOwned,
    digest: OctetString,
}

/// SpcPeImageData.
#[derive(Sequence)]
struct ImageData {
    flags: BitString,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    file: Any,
}

/// What the flags of [`ImageData`] say: in a signature nothing; in a catalog, as Microsoft's tools write it, that debug information
/// and import addresses were hashed too. Nothing reads them.
#[derive(Clone, Copy)]
pub enum Place {
    Signature,
    Catalog,
}

impl IndirectData {
    pub fn new(kind: Kind, digest: &Digest, place: Place) -> Result<Self> {
        let (kind, value) = match kind {
            Kind::Image => {
                let flags = match place {
                    Place::Signature => BitString::new(0, [])?,
                    Place::Catalog => BitString::new(5, [0xa0])?,
                };
                (SPC_PE_IMAGE_DATA, Any::encode_from(&ImageData { flags, file: no_file()? })?)
            }
            Kind::Flat => (SPC_CAB_DATA, no_file()?),
        };
        let digest = DigestInfo { algorithm: sha256(), digest: OctetString::new(digest.as_slice())? };
        Ok(Self { data: TypeAndValue { kind, value }, digest })
    }

    /// Encoded.
    pub fn any(&self) -> Result<Any> {
        Ok(Any::encode_from(self)?)
    }
}

/// An SpcLink (choice 2: a file) to a file without a name (choice 0 of SpcString: Unicode).
fn no_file() -> Result<Any> {
    let name = AnyRef::new(context(0, false), &[])?.to_der()?;
    Ok(Any::new(context(2, true), name)?)
}

fn context(number: u8, constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number: TagNumber::new(number) }
}

/// The mark of a catalog's member in its member information: an image [0], or a flat file [2].
pub fn member_mark(kind: Kind) -> Result<Any> {
    let number = match kind {
        Kind::Image => 0,
        Kind::Flat => 2,
    };
    Ok(Any::new(context(number, false), [])?)
}

/// The name of SHA-256, with the NULL that Microsoft's readers expect.
pub fn sha256() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: SHA_256, parameters: Some(Any::null()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_published_signatures() {
        let image = IndirectData::new(Kind::Image, &[7; 32], Place::Signature).expect("data").to_der().expect("der");
        let expected = [
            0x30, 0x4c, 0x30, 0x17, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x0f, 0x30, 0x09,
            0x03, 0x01, 0x00, 0xa0, 0x04, 0xa2, 0x02, 0x80, 0x00, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48,
            0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
        ];
        assert_eq!(image[..expected.len()], expected);
        assert_eq!(image[expected.len()..], [7; 32]);
    }
}
