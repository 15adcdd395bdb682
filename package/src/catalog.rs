//! The security catalog: a certificate trust list whose members are the package's files.
//!
//! The second version of the format (member list 12.1.3, by SHA-256), as Inf2Cat writes it for Windows 10 and later: a member is named by its
//! digest and has the attributes member information, `OSAttr`, `File` and indirect data; the list itself has `OS` and `HWIDn`.

use anyhow::Result;
use der::{
    Any, DateTime, Encode as _, Sequence,
    asn1::{BmpString, ObjectIdentifier, OctetString, SetOfVec, UtcTime},
};
use sha2::{Digest as _, Sha256};
use spki::AlgorithmIdentifierOwned;
use x509_cert::{attr::Attribute, ext::Extension};

use crate::{
    pe::Digest,
    spc::{self, IndirectData, Kind, Place, SPC_INDIRECT_DATA},
};

/// The content type of a catalog.
pub const CTL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.1");
const CATALOG_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.1.1");
const CATALOG_LIST_MEMBER_2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.1.3");
const CAT_NAMEVALUE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.2.1");
const CAT_MEMBERINFO_2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.2.3");

/// Every Windows that the driver runs on: version 10.0 of NT.
const OS_ATTRIBUTE: &str = "2:10.0";
/// Authenticated, text as it is, the name in ASCII.
const NAME_VALUE_FLAGS: u32 = 0x1001_0001;

/// A file the catalog vouches for.
pub struct Member<'a> {
    pub name: &'a str,
    pub kind: Kind,
    pub digest: Digest,
}

/// The list's content, before it is signed. `os` is Inf2Cat's name of the systems, `hardware_ids` are those of the INF.
pub fn list(members: &[Member], os: &str, hardware_ids: &[&str], date: DateTime) -> Result<Any> {
    let mut subjects = members.iter().collect::<Vec<_>>();
    subjects.sort_by_key(|member| member.digest);
    let mut extensions = vec![extension("OS", os)?];
    for (index, id) in hardware_ids.iter().enumerate() {
        extensions.push(extension(&format!("HWID{}", index + 1), &id.to_lowercase())?);
    }
    let list = TrustList {
        subject_usage: vec![CATALOG_LIST],
        identifier: OctetString::new(identifier(&subjects))?,
        this_update: UtcTime::from_date_time(date)?,
        subject_algorithm: AlgorithmIdentifierOwned { oid: CATALOG_LIST_MEMBER_2, parameters: Some(Any::null()) },
        subjects: subjects.into_iter().map(subject).collect::<Result<_>>()?,
        extensions,
    };
    Ok(Any::encode_from(&list)?)
}

/// 16 bytes that no other list has. Microsoft's tools draw them; here they follow from the members, so that a catalog can be made again.
fn identifier(members: &[&Member]) -> Vec<u8> {
    let hash = members.iter().fold(Sha256::new(), |hash, member| hash.chain_update(member.digest));
    hash.finalize()[..16].to_vec()
}

/// The encoding of wincrypt.h's CTL_INFO, without the optional members that a catalog lacks.
#[derive(Sequence)]
struct TrustList {
    subject_usage: Vec<ObjectIdentifier>,
    identifier: OctetString,
    this_update: UtcTime,
    subject_algorithm: AlgorithmIdentifierOwned,
    subjects: Vec<Subject>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

#[derive(Sequence)]
struct Subject {
    identifier: OctetString,
    attributes: SetOfVec<Attribute>,
}

/// CatalogNameValue: the value is UTF-16, little endian, with its NUL.
#[derive(Sequence)]
struct NameValue {
    name: BmpString,
    flags: u32,
    value: OctetString,
}

impl NameValue {
    fn new(name: &str, value: &str) -> Result<Self> {
        let value: Vec<u8> = value.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        Ok(Self { name: BmpString::from_utf8(name)?, flags: NAME_VALUE_FLAGS, value: OctetString::new(value)? })
    }
}

fn subject(member: &Member) -> Result<Subject> {
    let data = IndirectData::new(member.kind, &member.digest, Place::Catalog)?;
    let mut attributes = SetOfVec::new();
    for (oid, value) in [
        (CAT_NAMEVALUE, Any::encode_from(&NameValue::new("OSAttr", OS_ATTRIBUTE)?)?),
        (CAT_NAMEVALUE, Any::encode_from(&NameValue::new("File", member.name)?)?),
        (CAT_MEMBERINFO_2, spc::member_mark(member.kind)?),
        (SPC_INDIRECT_DATA, data.any()?),
    ] {
        attributes.insert(Attribute { oid, values: SetOfVec::try_from(vec![value])? })?;
    }
    Ok(Subject { identifier: OctetString::new(member.digest.as_slice())?, attributes })
}

fn extension(name: &str, value: &str) -> Result<Extension> {
    let value = NameValue::new(name, value)?.to_der()?;
    Ok(Extension { extn_id: CAT_NAMEVALUE, critical: false, extn_value: OctetString::new(value)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(digests: [u8; 2]) -> Vec<u8> {
        let member = |name, kind, byte| Member { name, kind, digest: [byte; 32] };
        let members = [member("a.sys", Kind::Image, digests[0]), member("a.inf", Kind::Flat, digests[1])];
        let date = DateTime::new(2026, 1, 2, 3, 4, 5).expect("a date");
        list(&members, "_v100_X64", &["Some-Id"], date).expect("a list").to_der().expect("der")
    }

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }

    fn position(bytes: &[u8], part: &[u8]) -> usize {
        bytes.windows(part.len()).position(|window| window == part).expect("a part")
    }

    #[test]
    fn the_same_members_give_the_same_bytes() {
        assert_eq!(of([1, 2]), of([1, 2]));
        assert_ne!(of([1, 2]), of([1, 3]));
    }

    #[test]
    fn members_lie_in_the_order_of_their_digests() {
        let bytes = of([2, 1]);
        assert!(position(&bytes, &[1; 32]) < position(&bytes, &[2; 32]));
        assert!(position(&bytes, &wide("a.inf")) < position(&bytes, &wide("a.sys")));
    }

    #[test]
    fn hardware_ids_are_in_lower_case() {
        position(&of([1, 2]), &wide("some-id"));
    }
}
