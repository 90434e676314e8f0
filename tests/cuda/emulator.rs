//! Runs emitted programs on the CPU: sources go through g++ and `emulator/kernel.h`, products are loops.

use half::bf16;
use libloading::{Library, Symbol};
use mimc::{
    backend::{
        cpu,
        cuda::{
            Program,
            program::{Argument, Factor, Launch, Product, Scheduled, Table},
        },
    },
    plan::{BufferId, Element, Place, Plan},
    random::Key,
};
use std::{
    ffi::c_void,
    path::Path,
    process::{Child, Command},
    sync::{Mutex, OnceLock},
};

/// Whether there is a g++; without one these tests say so and skip.
pub fn there_is_a_compiler() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let found = Command::new("g++").arg("--version").output();
        let found = found.is_ok_and(|output| output.status.success());
        if !found {
            eprintln!("skipped: there is no g++ to run emitted kernels with");
        }
        found
    })
}

/// The kernels of a program as functions of this process.
pub struct Emulated {
    libraries: Vec<Library>,
    _folder: tempfile::TempDir,
}

/// `arguments`, `grid`, `block`, bytes of shared memory.
type Entry = unsafe extern "C" fn(*const *const c_void, *const u32, u32, u32);

impl Emulated {
    /// # Panics
    /// Where a source is not accepted.
    pub fn new(program: &Program) -> Emulated {
        /// Compilers side by side.
        const PARTS: usize = 2;
        let folder = tempfile::tempdir().expect("a folder for what is compiled");
        let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda/emulator/kernel.h");
        let part = |part: usize| -> (Child, std::path::PathBuf) {
            let mut text = format!("#include {header:?}\n");
            for kernel in program.kernels.iter().skip(part).step_by(PARTS) {
                let (name, source) = (&kernel.name, &kernel.source);
                text += &format!("namespace of_{name} {{\n{source}\nLAUNCHER({name})\n}}\n");
            }
            let source = folder.path().join(format!("part{part}.cpp"));
            std::fs::write(&source, text).expect("a file in a new folder");
            let library = source.with_extension("so");
            let compiler = Command::new("g++")
                .args([
                    "-std=c++17",
                    "-O1",
                    "-fPIC",
                    "-shared",
                    "-w",
                    "-fno-strict-aliasing",
                ])
                .arg(&source)
                .arg("-o")
                .arg(&library)
                .spawn();
            (compiler.expect("there is a compiler"), library)
        };
        let parts: Vec<_> = (0..PARTS).map(part).collect();
        let libraries = parts.into_iter().map(|(mut compiler, library)| {
            let status = compiler.wait().expect("the compiler runs");
            assert!(status.success(), "g++ refuses a kernel");
            // SAFETY: it has no initialisers beyond those of the emulator.
            unsafe { Library::new(library) }.expect("what was compiled can be loaded")
        });
        Emulated {
            libraries: libraries.collect(),
            _folder: folder,
        }
    }

    fn entry(&self, name: &str) -> Symbol<'_, Entry> {
        let symbol = format!("emulate_{name}");
        let found = self.libraries.iter().find_map(|library| {
            // SAFETY: every symbol of that name is made by LAUNCHER.
            unsafe { library.get::<Entry>(symbol.as_bytes()) }.ok()
        });
        found.unwrap_or_else(|| panic!("no kernel {name}"))
    }
}

/// Bytes between buffers that nobody may write.
const GUARD: usize = 256;
const UNTOUCHED: u8 = 0xa5;

/// The buffers of a plan, each with guards around it.
#[derive(Clone)]
pub struct Memory {
    /// In units of 256 bytes, so that it is aligned as a GPU's is.
    blocks: Vec<Block>,
    offsets: Vec<usize>,
    ends: Vec<(usize, usize)>,
}

#[derive(Clone, Copy)]
#[repr(align(256))]
#[expect(dead_code, reason = "bytes are reached through pointers")]
struct Block([u8; 256]);

impl Memory {
    pub fn new(plan: &Plan) -> Memory {
        let mut end = GUARD;
        let mut guards = Vec::new();
        let mut room = |bytes: usize| {
            let start = end;
            let next = (start + bytes).next_multiple_of(256) + GUARD;
            guards.push((start + bytes, next));
            end = next;
            start
        };
        let arena = room(plan.arena);
        let mut offsets = Vec::new();
        for buffer in &plan.buffers {
            offsets.push(match buffer.place {
                Place::Arena(offset) => arena + offset,
                Place::Aside => arena,
                _ => room(buffer.bytes()),
            });
        }
        let mut memory = Memory {
            blocks: vec![Block([UNTOUCHED; 256]); end.div_ceil(256)],
            offsets,
            ends: guards,
        };
        for (buffer, of) in plan.buffers.iter().enumerate() {
            match &of.place {
                Place::Constant(values) => memory.write(plan, buffer, values),
                Place::Aside => {}
                _ => memory.write(plan, buffer, &vec![0.0; of.len()]),
            }
        }
        memory
    }

    fn base(&self) -> *mut u8 {
        self.blocks.as_ptr().cast_mut().cast()
    }

    fn address(&self, buffer: BufferId) -> *mut u8 {
        self.base().wrapping_add(self.offsets[buffer])
    }

    pub fn write(&mut self, plan: &Plan, buffer: BufferId, values: &[f32]) {
        let to = self.address(buffer);
        for (i, &x) in values.iter().enumerate() {
            // SAFETY: the buffer is inside the blocks.
            unsafe {
                match plan.buffers[buffer].element {
                    Element::F32 => *to.cast::<f32>().add(i) = x,
                    Element::Bf16 => *to.cast::<bf16>().add(i) = bf16::from_f32(x),
                }
            }
        }
    }

    pub fn read(&self, plan: &Plan, buffer: BufferId) -> Vec<f32> {
        let from = self.address(buffer);
        let number = |i: usize| {
            // SAFETY: as above.
            unsafe {
                match plan.buffers[buffer].element {
                    Element::F32 => *from.cast::<f32>().add(i),
                    Element::Bf16 => (*from.cast::<bf16>().add(i)).to_f32(),
                }
            }
        };
        (0..plan.buffers[buffer].len()).map(number).collect()
    }

    /// # Panics
    /// Where something was written between buffers.
    pub fn check_guards(&self) {
        for &(start, end) in &self.ends {
            for at in start..end {
                // SAFETY: guards are inside the blocks.
                let byte = unsafe { *self.base().add(at) };
                assert_eq!(
                    byte, UNTOUCHED,
                    "something was written behind a buffer, at {at}"
                );
            }
        }
    }

    /// Runs kernels of the plan on the CPU's own.
    pub fn run_on_cpu(&self, plan: &Plan, kernels: &[mimc::plan::Scheduled], launch: &cpu::Launch) {
        let addresses = (0..plan.buffers.len()).map(|b| self.address(b)).collect();
        // SAFETY: every buffer has its room in the blocks, which live as long as this runs.
        let memory = unsafe { cpu::Memory::new(addresses) };
        for scheduled in kernels {
            cpu::prepare(&scheduled.kernel, plan).run(&memory, launch);
        }
    }
}

/// A program with what it needs beside the buffers.
pub struct Machine<'p> {
    plan: &'p Plan,
    program: &'p Program,
    kernels: Emulated,
    scratch: Vec<Block>,
    /// What is fed as pixels, and what their levels are.
    pub pixels: Vec<u8>,
    pub levels: Vec<f32>,
}

impl<'p> Machine<'p> {
    pub fn new(plan: &'p Plan, program: &'p Program) -> Machine<'p> {
        Machine {
            plan,
            program,
            kernels: Emulated::new(program),
            // NaN, whichever way it is read.
            scratch: vec![Block([0xff; 256]); program.scratch.div_ceil(256)],
            pixels: Vec::new(),
            levels: Vec::new(),
        }
    }

    pub fn run(&self, launches: &[Scheduled], memory: &Memory, launch: &cpu::Launch) {
        /// The emulator has one block of threads, for all libraries together.
        static BLOCK: Mutex<()> = Mutex::new(());
        let _held = BLOCK
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let streams = self.plan.streams.iter();
        let mut draws = vec![launch.first_sample];
        draws.extend(streams.map(|stream| launch.key.with(&stream.purpose).0));
        let table = |table: &Table| match table {
            Table::Bytes(bytes) => bytes.clone(),
            Table::Addresses(buffers) => {
                let address = |&b: &BufferId| (memory.address(b) as u64).to_le_bytes();
                buffers.iter().flat_map(address).collect()
            }
        };
        let tables: Vec<Vec<u8>> = self.program.tables.iter().map(table).collect();
        let address = |argument: &Argument| -> *mut u8 {
            match argument {
                Argument::Buffer(buffer) => memory.address(*buffer),
                Argument::Scratch(offset) => self
                    .scratch
                    .as_ptr()
                    .cast_mut()
                    .cast::<u8>()
                    .wrapping_add(*offset),
                Argument::Table(table) => tables[*table].as_ptr().cast_mut(),
                Argument::Draws => draws.as_ptr().cast_mut().cast(),
                Argument::Key(stream) => draws[1 + stream..].as_ptr().cast_mut().cast(),
                Argument::Staged(_) => self.pixels.as_ptr().cast_mut(),
                Argument::Levels => self.levels.as_ptr().cast_mut().cast(),
            }
        };
        for scheduled in launches {
            match &scheduled.launch {
                Launch::Kernel {
                    kernel,
                    grid,
                    block,
                    shared,
                    arguments,
                } => {
                    let pointers: Vec<*mut u8> = arguments.iter().map(address).collect();
                    let arguments: Vec<*const c_void> = (pointers.iter())
                        .map(|pointer| (&raw const *pointer).cast())
                        .collect();
                    let entry = self.kernels.entry(&self.program.kernels[*kernel].name);
                    // SAFETY: the program names the arguments that the kernel takes.
                    unsafe { entry(arguments.as_ptr(), grid.as_ptr(), *block, *shared) };
                }
                Launch::Product(product) => multiply(product, &address),
            }
        }
    }
}

fn multiply(product: &Product, address: &dyn Fn(&Argument) -> *mut u8) {
    let at = |factor: &Factor, index: usize, row: usize, column: usize| {
        let place = match factor.transposed {
            false => row * factor.stride + column,
            true => column * factor.stride + row,
        };
        factor.offset + index * factor.batch_stride + place
    };
    let number = |memory: &Argument, element: Element, at: usize| {
        let from = address(memory);
        // SAFETY: the program keeps factors inside what they lie in.
        unsafe {
            match element {
                Element::F32 => *from.cast::<f32>().add(at),
                Element::Bf16 => (*from.cast::<bf16>().add(at)).to_f32(),
            }
        }
    };
    let read = |factor: &Factor, at: usize| number(&factor.memory, factor.element, at);
    let Product {
        m,
        n,
        k,
        count,
        a,
        b,
        c,
        added,
        bias,
    } = product;
    if let Some(bias) = bias {
        assert!(c.element == Element::F32 && !c.transposed && added.is_none());
        assert!(bias.offset.is_multiple_of(4));
    }
    assert!(c.element == Element::F32 || a.element == Element::Bf16);
    assert!(added.is_none_or(|added| added.element == c.element));
    for index in 0..*count {
        for row in 0..*m {
            for column in 0..*n {
                let term = |i| {
                    f64::from(read(a, at(a, index, row, i)))
                        * f64::from(read(b, at(b, index, i, column)))
                };
                let sum: f64 = (0..*k).map(term).sum();
                let added = added.map(|of| read(&of, at(&of, index, row, column)));
                let bias = bias.map(|of| number(&of.memory, Element::F32, of.offset + column));
                let sum = sum as f32 + added.unwrap_or(0.0) + bias.unwrap_or(0.0);
                let (to, at) = (address(&c.memory), at(c, index, row, column));
                // SAFETY: as above.
                unsafe {
                    match c.element {
                        Element::F32 => *to.cast::<f32>().add(at) = sum,
                        Element::Bf16 => *to.cast::<bf16>().add(at) = bf16::from_f32(sum),
                    }
                }
            }
        }
    }
}

/// Numbers around zero.
pub fn noise(seed: u64, len: usize) -> Vec<f32> {
    let key = Key::new(seed).with("noise");
    (0..len as u64).map(|i| key.normal(i) as f32).collect()
}
