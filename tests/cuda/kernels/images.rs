//! Images that are fed as pixels.

use crate::emulator::{Machine, Memory, there_is_a_compiler};
use mimc::{
    backend::{
        cpu::Launch,
        cuda::{Target, emit},
    },
    data::Normalizer,
    plan::{Buffer, Element, Place, Plan},
    random::Key,
};

#[test]
fn pixels_are_normalised_to_the_bits_of_the_cpu() {
    if !there_is_a_compiler() {
        return;
    }
    // Fours of pixels that lie in one image, and images that none of them fits into.
    for [images, height, width] in [[3, 5, 7], [2, 8, 6], [5, 16, 16]] {
        let plan = Plan {
            buffers: vec![Buffer {
                dims: vec![images, 3, height, width],
                element: Element::F32,
                place: Place::Feed,
                origin: "image".into(),
            }],
            feeds: vec![("image".into(), 0)],
            batch: images,
            ..Plan::default()
        };
        let program = emit(&plan, Target(90));
        let intake = program.intake.as_ref().expect("it is fed images");
        assert_eq!(intake.feed, 0);

        let key = Key::new(width as u64).with("pixels");
        let numbers = (images * 3 * height * width) as u64;
        let pixels: Vec<u8> = (0..numbers).map(|i| key.below(i, 256) as u8).collect();
        let normalizer = Normalizer::new([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        let mut wanted = vec![0.0; pixels.len()];
        let length = 3 * height * width;
        for (of, to) in (pixels.chunks(length)).zip(wanted.chunks_mut(length)) {
            normalizer.apply(of, to);
        }

        let memory = Memory::new(&plan);
        let mut machine = Machine::new(&plan, &program);
        machine.levels = normalizer.levels().concat();
        machine.pixels = pixels;
        let launch = Launch {
            key,
            first_sample: 0,
        };
        machine.run(std::slice::from_ref(&intake.launch), &memory, &launch);
        memory.check_guards();
        assert!(memory.read(&plan, 0) == wanted, "{height} x {width}");
    }
}
