#!/usr/bin/env python3
"""Judges a driver image with pefile, which shares nothing with what made it. Prints what it found; exit status 1 on a fault.

usage: pe.py FILE.sys x64|arm64 IMPORTS VERSION signed|unsigned
"""

import sys

import pefile

MACHINES = {"x64": 0x8664, "arm64": 0xAA64}
# High entropy addresses, ASLR, NX.
CHARACTERISTICS = 0x0020 | 0x0040 | 0x0100
NATIVE = 1
WRITE, EXECUTE = 0x80000000, 0x20000000
SECURITY, RELOCATIONS, DEBUG, TLS = 4, 5, 6, 9
DRIVER, NETWORK_DRIVER = 3, 6


def main():
    path, arch, imports, version, signed = sys.argv[1:]
    pe = pefile.PE(path)
    faults = []

    def check(what, good, found):
        print(f"  {what}: {found}")
        if not good:
            faults.append(f"{what}: {found}")

    header, optional = pe.FILE_HEADER, pe.OPTIONAL_HEADER
    directory = optional.DATA_DIRECTORY
    check("machine", header.Machine == MACHINES[arch], f"{header.Machine:#06x}")
    check("subsystem", optional.Subsystem == NATIVE, optional.Subsystem)
    flags = optional.DllCharacteristics
    check("characteristics", flags & CHARACTERISTICS == CHARACTERISTICS, f"{flags:#06x}")
    check("checksum", pe.verify_checksum(), f"{optional.CheckSum:#010x}")
    check("operating system version", optional.MajorOperatingSystemVersion >= 6, optional.MajorOperatingSystemVersion)
    check("relocations", directory[RELOCATIONS].Size > 0, f"{directory[RELOCATIONS].Size} bytes")
    check("thread-local storage", directory[TLS].Size == 0, f"{directory[TLS].Size} bytes")
    check("signature", (directory[SECURITY].Size > 0) == (signed == "signed"), f"{directory[SECURITY].Size} bytes")
    for section in pe.sections:
        name = section.Name.rstrip(b"\0").decode()
        both = section.Characteristics & WRITE and section.Characteristics & EXECUTE
        check(f"section {name}", not both, f"{section.Characteristics:#010x}, {section.Misc_VirtualSize} bytes")

    listed = (line.split("#")[0].split() for line in open(imports, encoding="utf-8"))
    allowed = {(words[0].lower(), words[1]) for words in listed if words}
    found = {(entry.dll.decode().lower(), (one.name or b"#").decode()) for entry in pe.DIRECTORY_ENTRY_IMPORT for one in entry.imports}
    check("imports not on the list", found <= allowed, sorted(found - allowed) or f"none of {len(found)}")

    fixed = pe.VS_FIXEDFILEINFO[0]
    check("kind of file", (fixed.FileType, fixed.FileSubtype) == (DRIVER, NETWORK_DRIVER), (fixed.FileType, fixed.FileSubtype))
    number = [int(part) for part in version.split(".")] + [0]
    for what, high, low in (
        ("file version, as numbers", fixed.FileVersionMS, fixed.FileVersionLS),
        ("product version, as numbers", fixed.ProductVersionMS, fixed.ProductVersionLS),
    ):
        parts = [high >> 16, high & 0xFFFF, low >> 16, low & 0xFFFF]
        check(what, parts == number, parts)
    strings = {
        key.decode(): value.decode()
        for info in pe.FileInfo[0]
        if info.Key == b"StringFileInfo"
        for table in info.StringTable
        for key, value in table.entries.items()
    }
    for key, expected in (("FileVersion", version + ".0"), ("ProductVersion", version), ("OriginalFilename", "ovpn-dco.sys")):
        check(key, strings.get(key) == expected, strings.get(key))
    names = [entry.entry.PdbFileName.rstrip(b"\0").decode() for entry in pe.DIRECTORY_ENTRY_DEBUG if hasattr(entry.entry, "PdbFileName")]
    check("symbol file", names == ["ovpn-dco.pdb"], names)

    for fault in faults:
        print(f"FAULT: {fault}")
    sys.exit(bool(faults))


main()
