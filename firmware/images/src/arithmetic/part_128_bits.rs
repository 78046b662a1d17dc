//! The compiler's integer arithmetic, part 128-bits.
#![no_std]
#![no_main]

thingward_chip::image!(run);

fn run() {
    let (_, test) = thingward_arithmetic::PARTS[4];
    test(&mut |name, digest| thingward_chip::result(name, &digest));
}
