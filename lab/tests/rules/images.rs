//! Changes to an image's bytes, by their place in the PE format: each makes it one that Windows does not load.

/// `IMAGE_DIRECTORY_ENTRY_TLS` and `IMAGE_DIRECTORY_ENTRY_BASERELOC`.
const TLS: usize = 9;
const RELOCATIONS: usize = 5;

fn word(image: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(image[at..at + 4].try_into().expect("4 bytes"))
}

fn put(image: &mut [u8], at: usize, value: u32) {
    image[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Where the optional header stands.
fn optional(image: &[u8]) -> usize {
    word(image, 0x3C) as usize + 24
}

/// Where the header of the section with this name stands.
fn section(image: &[u8], name: &[u8; 8]) -> usize {
    let pe = word(image, 0x3C) as usize;
    let table = pe + 24 + (word(image, pe + 20) & 0xFFFF) as usize;
    (0..96).map(|i| table + i * 40).find(|&at| &image[at..at + 8] == name).expect("the section")
}

pub fn no_signature(image: &mut [u8]) {
    let pe = word(image, 0x3C) as usize;
    image[pe] = b'N';
}

pub fn a_program(image: &mut [u8]) {
    // IMAGE_SUBSYSTEM_WINDOWS_CUI.
    let at = optional(image) + 68;
    image[at] = 3;
}

pub fn packed_sections(image: &mut [u8]) {
    let at = optional(image) + 32;
    put(image, at, 512);
}

pub fn a_wrong_checksum(image: &mut [u8]) {
    let at = optional(image) + 64;
    put(image, at, 0x1234_5678);
}

pub fn thread_local_storage(image: &mut [u8]) {
    let code = word(image, section(image, b".text\0\0\0") + 12);
    let at = optional(image) + 112 + TLS * 8;
    put(image, at, code);
    put(image, at + 4, 40);
}

pub fn no_relocations(image: &mut [u8]) {
    let optional = optional(image);
    put(image, optional + 112 + RELOCATIONS * 8, 0);
    put(image, optional + 116 + RELOCATIONS * 8, 0);
    // IMAGE_FILE_RELOCS_STRIPPED of the file header's characteristics.
    image[optional - 2] |= 1;
}

pub fn writable_code(image: &mut [u8]) {
    let at = section(image, b".text\0\0\0") + 36;
    let flags = word(image, at);
    put(image, at, flags | 0x8000_0000);
}

pub fn an_import_of_nothing(image: &mut [u8]) {
    let name = b"KeBugCheckEx\0";
    let at = image.windows(name.len()).position(|w| w == name).expect("the import's name");
    image[at + 11] = b'y';
}
