//! Known answers from the standards.

/// Seed and message of RFC 8032 §7.1, tests 1 to 3.
pub const SIGNED: [([u8; 32], &[u8]); 3] = [
    (unhex(b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"), &[]),
    (unhex(b"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"), &[0x72]),
    (unhex(b"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"), &[0xaf, 0x82]),
];

/// Their public keys and signatures.
pub const SIGNATURES: [[&str; 2]; 3] = [
    [
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

/// Scalar and coordinate of RFC 7748 §5.2.
pub const MULTIPLIED: [([u8; 32], [u8; 32]); 2] = [
    (
        unhex(b"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
        unhex(b"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
    ),
    (
        unhex(b"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
        unhex(b"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"),
    ),
];

/// What comes of them.
pub const MULTIPLES: [&str; 2] = [
    "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
];

/// The two secret keys of RFC 7748 §6.1.
pub const AGREEING: [[u8; 32]; 2] = [
    unhex(b"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
    unhex(b"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
];

/// Their public keys.
pub const PUBLIC: [&str; 2] = [
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
];

/// What both come to.
pub const AGREED: &str = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";

/// Coordinates of small order on curve and twist: 0, 1 and p - 1, two of order 8, and p and p + 1, which are 0 and 1 again.
pub const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    unhex(b"0100000000000000000000000000000000000000000000000000000000000000"),
    unhex(b"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    unhex(b"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    unhex(b"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    unhex(b"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    unhex(b"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
];

/// Key, nonce and associated data of the designers' answer number 1088 for Ascon-AEAD128. The text is [`TEXT`].
pub const KEY: [u8; 16] = counting_from(0);
/// See [`KEY`].
pub const NONCE: [u8; 16] = counting_from(0x10);
/// See [`KEY`].
pub const DATA: [u8; 31] = counting_from(0x30);
/// See [`KEY`].
pub const TEXT: [u8; 32] = counting_from(0x20);

/// The sealed text and the tag.
pub const SEALED: [&str; 2] =
    ["4b392e5fa60e0cbbca547db96e3262bd8382d6c0e608e24f441aaafc4726e5ad", "779233da0ae25e0bde856e4805896ec2"];

/// The messages of FIPS 180-4's examples for SHA-256, and the empty one.
pub const HASHED: [&[u8]; 3] = [b"abc", b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", b""];

/// Their hashes.
pub const HASHES: [&str; 3] = [
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

/// Key and message of RFC 4231 §4.2 to §4.4. Zeros behind a shorter key do not change it.
pub const AUTHENTICATED: [([u8; 32], &[u8]); 3] = [
    (padded(&[0x0b; 20]), b"Hi There"),
    (padded(b"Jefe"), b"what do ya want for nothing?"),
    (padded(&[0xaa; 20]), &[0xdd; 50]),
];

/// Their tags.
pub const TAGS: [&str; 3] = [
    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
];

const fn padded(key: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut k = 0;
    while k < key.len() {
        bytes[k] = key[k];
        k += 1;
    }
    bytes
}

const fn counting_from<const N: usize>(first: u8) -> [u8; N] {
    let mut bytes = [0; N];
    let mut k = 0;
    while k < N {
        bytes[k] = first + k as u8;
        k += 1;
    }
    bytes
}

pub(crate) const fn unhex<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut k = 0;
    while k < N {
        bytes[k] = digit(text[2 * k]) << 4 | digit(text[2 * k + 1]);
        k += 1;
    }
    bytes
}

const fn digit(character: u8) -> u8 {
    if character <= b'9' { character - b'0' } else { character - b'a' + 10 }
}
