//! The compiler's integer arithmetic, part 32.
#![no_std]
#![no_main]

thingward_chip::image!(run);

fn run() {
    let (_, test) = thingward_arithmetic::PARTS[1];
    test(&mut |name, digest| thingward_chip::result(name, &digest));
}
