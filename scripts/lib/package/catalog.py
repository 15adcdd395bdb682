#!/usr/bin/env python3
"""Reads a security catalog with asn1crypto and says whether a file that is hashed as it is, an INF, is a member of it.

osslsigncode verifies the catalog's signature, and images against it, but knows no INF.

usage: catalog.py FILE.cat FILE
"""

import hashlib
import os
import sys

from asn1crypto import cms, core, x509

SHA256 = "2.16.840.1.101.3.4.2.1"
INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4"
CAB_DATA = "1.3.6.1.4.1.311.2.1.25"
NAME_VALUE = "1.3.6.1.4.1.311.12.2.1"
CTL = "1.3.6.1.4.1.311.10.1"
CATALOG_LIST, MEMBER_2 = "1.3.6.1.4.1.311.12.1.1", "1.3.6.1.4.1.311.12.1.3"


class Usage(core.SequenceOf):
    _child_spec = core.ObjectIdentifier


class Algorithm(core.Sequence):
    _fields = [("algorithm", core.ObjectIdentifier), ("parameters", core.Any, {"optional": True})]


class Values(core.SetOf):
    _child_spec = core.Any


class Attribute(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("values", Values)]


class Attributes(core.SetOf):
    _child_spec = Attribute


class Member(core.Sequence):
    _fields = [("tag", core.OctetString), ("attributes", Attributes)]


class Members(core.SequenceOf):
    _child_spec = Member


class TrustList(core.Sequence):
    _fields = [
        ("usage", Usage),
        ("identifier", core.OctetString),
        ("date", core.UTCTime),
        ("algorithm", Algorithm),
        ("members", Members),
        ("extensions", x509.Extensions, {"explicit": 0}),
    ]


class Content(core.Sequence):
    # No octet string around the list, as PKCS #7 has it and CMS has not.
    _fields = [("type", core.ObjectIdentifier), ("list", TrustList, {"explicit": 0})]


class SignedData(core.Sequence):
    _fields = [
        ("version", core.Integer),
        ("algorithms", cms.DigestAlgorithms),
        ("content", Content),
        ("certificates", cms.CertificateSet, {"implicit": 0, "optional": True}),
        ("signers", cms.SignerInfos),
    ]


class Catalog(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("signed", SignedData, {"explicit": 0})]


class NameValue(core.Sequence):
    _fields = [("name", core.BMPString), ("flags", core.Integer), ("value", core.OctetString)]


class TypeAndValue(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("value", core.Any)]


class DigestInfo(core.Sequence):
    _fields = [("algorithm", Algorithm), ("digest", core.OctetString)]


class IndirectData(core.Sequence):
    _fields = [("data", TypeAndValue), ("digest", DigestInfo)]


def name_value(der):
    parsed = NameValue.load(der, strict=True)
    return parsed["name"].native, parsed["value"].native.decode("utf-16-le").rstrip("\0")


def main():
    catalog, path = sys.argv[1:]
    signed = Catalog.load(open(catalog, "rb").read(), strict=True)["signed"]
    assert signed["version"].native == 1, signed["version"].native
    assert signed["content"]["type"].dotted == CTL, signed["content"]["type"].dotted
    trust_list = signed["content"]["list"]
    assert [one.dotted for one in trust_list["usage"]] == [CATALOG_LIST]
    assert trust_list["algorithm"]["algorithm"].dotted == MEMBER_2
    print("date:", trust_list["date"].native)
    for extension in trust_list["extensions"]:
        assert extension["extn_id"].dotted == NAME_VALUE
        print("attribute: %s = %s" % name_value(extension["extn_value"].native))

    digest = hashlib.sha256(open(path, "rb").read()).digest()
    found = []
    for member in trust_list["members"]:
        names, hashed = {}, None
        for attribute in member["attributes"]:
            (value,) = attribute["values"]
            if attribute["type"].dotted == NAME_VALUE:
                name, text = name_value(value.dump())
                names[name] = text
            elif attribute["type"].dotted == INDIRECT_DATA:
                hashed = IndirectData.load(value.dump(), strict=True)
        print("member:", names, hashed["data"]["type"].dotted, member["tag"].native.hex())
        assert hashed["digest"]["algorithm"]["algorithm"].dotted == SHA256
        assert hashed["digest"]["digest"].native == member["tag"].native, "a member's tag is not its digest"
        if names["File"] == os.path.basename(path) and hashed["data"]["type"].dotted == CAB_DATA:
            found.append(member["tag"].native)
    if found != [digest]:
        print(f"MISMATCH: {path} has {digest.hex()}, the catalog {[one.hex() for one in found]}")
        sys.exit(1)
    print("the file is in the catalog")


main()
