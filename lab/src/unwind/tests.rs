use super::*;

const BASE: u64 = 0x1_4000_0000;
const STACK: u64 = 0x7000;

/// An image with one table of functions at 0x100 and unwind data where the functions say.
fn image(functions: &[Function], data: &[(usize, &[u8])]) -> Image {
    let mut bytes = vec![0; 0x10000];
    let mut put = |at: usize, from: &[u8]| bytes[at..at + from.len()].copy_from_slice(from);
    for (i, f) in functions.iter().enumerate() {
        for (n, word) in [f.0, f.1, f.2].into_iter().enumerate() {
            put(0x100 + 12 * i + 4 * n, &word.to_le_bytes());
        }
    }
    for (at, from) in data {
        put(*at, from);
    }
    Image::new(BASE as usize, bytes, (0x100, 12 * functions.len()))
}

/// Walks from `rip` with a stack whose words from [`STACK`] on are given.
fn walk(image: &Image, rip: u64, set: &[(usize, u64)], words: &[u64]) -> (Vec<u32>, End) {
    let mut r = Registers { rip: BASE + rip, ..Registers::default() };
    r.set(RSP, STACK);
    for &(number, value) in set {
        r.set(number, value);
    }
    let read = |at: u64| words.get(usize::try_from(at.checked_sub(STACK)? / 8).ok()?).copied();
    let mut found = [0; 8];
    let (n, end) = image.walk(r, &read, &mut found);
    (found[..n].to_vec(), end)
}

const OUT: u64 = 0xDEAD_0000;
const ONE: &[Function] = &[(0x1000, 0x1100, 0x8000)];

#[test]
fn a_leaf_has_no_entry() {
    let i = image(ONE, &[(0x8000, &[1, 0, 0, 0])]);
    assert_eq!(walk(&i, 0x3000, &[], &[BASE + 0x1010, OUT]), (vec![0x3000, 0x1010], End::Left));
}

#[test]
fn pushes_and_allocations() {
    // push rbx; push rdi; sub rsp, 0x20 (codes stand in reverse)
    let i = image(ONE, &[(0x8000, &[1, 7, 3, 0, 7, 0x32, 3, 0x70, 2, 0x30])]);
    assert_eq!(walk(&i, 0x1010, &[], &[0, 0, 0, 0, 11, 22, OUT]), (vec![0x1010], End::Left));
    // As the prologue has got: nothing, one push, two.
    assert_eq!(walk(&i, 0x1001, &[], &[OUT]).1, End::Left);
    assert_eq!(walk(&i, 0x1002, &[], &[22, OUT]).1, End::Left);
    assert_eq!(walk(&i, 0x1003, &[], &[11, 22, OUT]).1, End::Left);
    // A large allocation, counted in words and in bytes.
    let i = image(ONE, &[(0x8000, &[1, 7, 2, 0, 7, 0x01, 2, 0])]);
    assert_eq!(walk(&i, 0x1010, &[], &[0, 0, OUT]).1, End::Left);
    let i = image(ONE, &[(0x8000, &[1, 7, 3, 0, 7, 0x11, 24, 0, 0, 0])]);
    assert_eq!(walk(&i, 0x1010, &[], &[0, 0, 0, OUT]).1, End::Left);
}

#[test]
fn a_frame_pointer_finds_the_frame_below_a_variable_allocation() {
    // push rbp; sub rsp, 0x10; lea rbp, [rsp + 0x10]; later rsp goes down by any amount.
    let i = image(ONE, &[(0x8000, &[1, 8, 3, 0x15, 8, 0x03, 5, 0x12, 1, 0x50])]);
    let words = [0, 0, 0, 0, 0, 0, 77, OUT];
    // rbp = frame + 0x10, and the frame begins at word 4.
    assert_eq!(walk(&i, 0x1020, &[(5, STACK + 4 * 8 + 0x10)], &words), (vec![0x1020], End::Left));
    // In the prologue before rbp is set, rsp is what counts.
    assert_eq!(walk(&i, 0x1005, &[(5, 1)], &[0, 0, 77, OUT]).1, End::Left);
}

#[test]
fn saved_registers_come_back() {
    // The inner function saves rbp by a move at frame + 8 (near) or + 8 (far); the outer one's frame hangs on it.
    let functions: &[Function] = &[(0x1000, 0x1100, 0x8000), (0x2000, 0x2100, 0x8100)];
    let outer: &[u8] = &[1, 8, 3, 0x15, 8, 0x03, 5, 0x12, 1, 0x50];
    for inner in [&[1, 9, 3, 0, 9, 0x54, 1, 0, 4, 0x12][..], &[1, 9, 4, 0, 9, 0x55, 8, 0, 0, 0, 4, 0x12][..]] {
        let i = image(functions, &[(0x8000, inner), (0x8100, outer)]);
        // inner: 0x10 bytes, rbp at +8, return address; outer: hole, 0x10 bytes, rbp, return address.
        let words = [0, STACK + 7 * 8, BASE + 0x2050, 0, 0, 0, 0, 99, OUT];
        assert_eq!(walk(&i, 0x1050, &[(5, 1)], &words), (vec![0x1050, 0x2050], End::Left));
    }
}

#[test]
fn chained_data_undoes_the_rest_of_the_prologue() {
    // The second part of a function: its own push, then the first part's allocation.
    let functions: &[Function] = &[(0x1000, 0x1010, 0x8000), (0x1010, 0x1100, 0x8010)];
    let mut chained = vec![1 | CHAINED << 3, 2, 1, 0, 2, 0x30, 0, 0];
    for word in [0x1000u32, 0x1010, 0x8000] {
        chained.extend(word.to_le_bytes());
    }
    let i = image(functions, &[(0x8000, &[1, 4, 1, 0, 4, 0x12]), (0x8010, &chained)]);
    assert_eq!(walk(&i, 0x1020, &[], &[5, 0, 0, OUT]), (vec![0x1020], End::Left));
}

#[test]
fn vector_registers_and_epilogues_move_nothing() {
    let i = image(ONE, &[(0x8000, &[2, 9, 6, 0, 4, 0x16, 9, 0x68, 1, 0, 9, 0x02, 0, 0x06, 4, 0x02])]);
    // Two allocations of 8 bytes.
    assert_eq!(walk(&i, 0x1050, &[], &[0, 0, OUT]).1, End::Left);
}

#[test]
fn a_machine_frame_says_where_the_interrupted_code_was() {
    let i = image(ONE, &[(0x8000, &[1, 0, 1, 0, 0, 0x1A])]);
    // Error code, rip, cs, flags, rsp, ss.
    let words = [0, BASE + 0x3000, 0, 0, STACK + 7 * 8, 0, 0, OUT];
    assert_eq!(walk(&i, 0x1050, &[], &words), (vec![0x1050, 0x3000], End::Left));
}

#[test]
fn a_call_at_a_functions_end_belongs_to_it() {
    let i = image(ONE, &[(0x8000, &[1, 4, 1, 0, 4, 0x02])]);
    assert_eq!(walk(&i, 0x1100, &[], &[0, OUT]), (vec![0x1100], End::Left));
}

#[test]
fn what_cannot_be_unwound_is_said_to_be_broken() {
    let broken: [&[u8]; 4] =
        [&[3, 0, 0, 0], &[1, 4, 1, 0, 4, 0x07], &[1, 4, 2, 0, 4, 0x21, 0, 0], &[1, 4, 1, 0, 4, 0x2A]];
    for data in broken {
        assert_eq!(walk(&image(ONE, &[(0x8000, data)]), 0x1050, &[], &[OUT; 8]).1, End::Broken, "{data:?}");
    }
    // A stack that ends.
    let i = image(ONE, &[(0x8000, &[1, 4, 1, 0, 4, 0xF2])]);
    assert_eq!(walk(&i, 0x1050, &[], &[0, 0]).1, End::Broken);
    // One that goes round for ever.
    let i = image(ONE, &[(0x8000, &[1, 0, 0, 0])]);
    assert_eq!(walk(&i, 0x1050, &[], &[BASE + 0x1050; 16]), (vec![0x1050; 8], End::Deep));
    // Data outside the image.
    let i = image(&[(0x1000, 0x1100, 0xFFFF_0000)], &[]);
    assert_eq!(walk(&i, 0x1050, &[], &[OUT; 4]).1, End::Broken);
}
