//! The GPUs of a machine, and the context in which one of them works.

use super::{
    functions::{Driver, Handle, Status, constants::*},
    library::{Libraries, Opened},
};
use crate::{text::units::bytes, train::step::StepError};
use std::{
    ffi::{CStr, c_char, c_int},
    ptr,
    sync::Arc,
};

/// A GPU.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Device {
    /// As the driver counts those that `CUDA_VISIBLE_DEVICES` leaves.
    pub ordinal: c_int,
    /// `NVIDIA H100 80GB HBM3`
    pub name: String,
    /// Compute capability: 90 for 9.0.
    pub capability: u32,
    /// Bytes.
    pub memory: u64,
    /// Bytes of shared memory that a block may ask for.
    pub shared: u32,
}

/// The oldest compute capability whose instructions multiply bf16.
pub const OLDEST_CAPABILITY: u32 = 80;

impl Device {
    /// What is in the way of using it, if anything.
    pub fn unusable(&self) -> Option<String> {
        (self.capability < OLDEST_CAPABILITY).then(|| {
            format!(
                "the {} has compute capability {}, and {} is the lowest that will do",
                self.name,
                capability(self.capability),
                capability(OLDEST_CAPABILITY)
            )
        })
    }

    /// `NVIDIA H100 80GB HBM3, compute capability 9.0, 79.1 GiB`
    pub fn told(&self) -> String {
        format!(
            "{}, compute capability {}, {}",
            self.name,
            capability(self.capability),
            bytes(self.memory)
        )
    }
}

/// `9.0`
fn capability(number: u32) -> String {
    format!("{}.{}", number / 10, number % 10)
}

/// Every GPU that the driver shows.
///
/// # Errors
/// The driver's own words, where it cannot be used or shows none.
pub fn devices(driver: &Driver) -> Result<Vec<Device>, String> {
    let told = |doing: &str, status| match status {
        0 => Ok(()),
        status => Err(format!("{doing}: {}", meaning(driver, status))),
    };
    let mut count = 0;
    // SAFETY: `cuInit` goes before all else, and may come again.
    told("the driver does not start", unsafe { (driver.cuInit)(0) })?;
    // SAFETY: each call writes what it is handed a place for.
    told("the driver counts no GPUs", unsafe {
        (driver.cuDeviceGetCount)(&mut count)
    })?;
    if count == 0 {
        return Err("the driver shows no GPU".into());
    }
    let device = |ordinal| -> Result<Device, String> {
        let mut handle = 0;
        let mut name = [0 as c_char; 256];
        let mut memory = 0;
        // SAFETY: as above; the name is cut at the length told, a zero at its end.
        unsafe {
            told(
                "a GPU is not there",
                (driver.cuDeviceGet)(&mut handle, ordinal),
            )?;
            let asked = (driver.cuDeviceGetName)(name.as_mut_ptr(), name.len() as c_int, handle);
            told("a GPU has no name", asked)?;
            let asked = (driver.cuDeviceTotalMem_v2)(&mut memory, handle);
            told("a GPU does not tell its memory", asked)?;
        }
        let attribute = |which| {
            let mut value = 0;
            // SAFETY: as above.
            let asked = unsafe { (driver.cuDeviceGetAttribute)(&mut value, which, handle) };
            told("a GPU does not tell what it can do", asked).map(|()| value.unsigned_abs())
        };
        let major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        Ok(Device {
            ordinal,
            // SAFETY: the driver has ended the name with a zero.
            name: unsafe { CStr::from_ptr(name.as_ptr()) }
                .to_string_lossy()
                .into_owned(),
            capability: 10 * major + minor,
            memory: memory as u64,
            shared: attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        })
    };
    (0..count).map(device).collect()
}

/// The first GPU that can be used.
///
/// # Errors
/// What is in the way.
pub fn usable(libraries: &Libraries) -> Result<Device, String> {
    if let Some(missing) = libraries.missing() {
        return Err(missing.to_string());
    }
    let driver = libraries.driver.as_ref();
    let driver = driver.map_err(ToString::to_string)?;
    let devices = devices(&driver.functions)?;
    let first = devices[0].unusable();
    let usable = devices
        .into_iter()
        .find(|device| device.unusable().is_none());
    usable.ok_or_else(|| first.unwrap_or_default())
}

/// What the driver says of a code.
fn meaning(driver: &Driver, status: Status) -> String {
    let said = |ask: unsafe extern "C" fn(Status, *mut *const c_char) -> Status| {
        let mut text = ptr::null();
        // SAFETY: it writes the address of a text that stays, or of none.
        let known = unsafe { ask(status, &mut text) } == 0 && !text.is_null();
        // SAFETY: as it says.
        known.then(|| {
            unsafe { CStr::from_ptr(text) }
                .to_string_lossy()
                .into_owned()
        })
    };
    match (said(driver.cuGetErrorString), said(driver.cuGetErrorName)) {
        (Some(text), Some(name)) => format!("{text} ({name})"),
        _ => format!("error {status}"),
    }
}

/// Where a GPU works for this process: its primary context, which all who ask share.
pub struct Context {
    driver: Arc<Opened<Driver>>,
    device: Device,
    handle: Handle,
}

// SAFETY: a context may be used from any thread, made current there first.
unsafe impl Send for Context {}
// SAFETY: as above; the driver locks what is its own.
unsafe impl Sync for Context {}

impl Context {
    /// On the first GPU that can be used.
    ///
    /// # Errors
    /// What is in the way.
    pub fn new(libraries: &Libraries) -> Result<Arc<Context>, StepError> {
        let device = usable(libraries).map_err(StepError::NoGpu)?;
        let driver = libraries.driver.clone();
        let driver = driver.map_err(|missing| StepError::NoGpu(missing.to_string()))?;
        let mut handle = ptr::null_mut();
        // SAFETY: `usable` has started the driver, and the device is one of its own.
        let status =
            unsafe { (driver.functions.cuDevicePrimaryCtxRetain)(&mut handle, device.ordinal) };
        if status != 0 {
            let cause = meaning(&driver.functions, status);
            let told = format!("the {} does not start: {cause}", device.name);
            return Err(StepError::NoGpu(told));
        }
        let context = Arc::new(Context {
            driver,
            device,
            handle,
        });
        context.enter()?;
        Ok(context)
    }

    /// What it works on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub fn driver(&self) -> &Driver {
        &self.driver.functions
    }

    /// Makes it current on this thread: what is called behind works in it.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn enter(&self) -> Result<(), StepError> {
        // SAFETY: the handle is that of a context that is retained.
        let status = unsafe { (self.driver().cuCtxSetCurrent)(self.handle) };
        self.check(status, "while it was turned to")
    }

    /// Bytes that can still be taken.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn free(&self) -> Result<u64, StepError> {
        self.enter()?;
        let (mut free, mut whole) = (0, 0);
        // SAFETY: it writes two numbers.
        let status = unsafe { (self.driver().cuMemGetInfo_v2)(&mut free, &mut whole) };
        self.check(status, "while it was asked for its memory")?;
        Ok(free as u64)
    }

    /// Turns what a call returned into an error, unless all is well. `doing` goes on where "the GPU was lost" ends.
    ///
    /// # Errors
    /// [`StepError::Lost`] where nothing on the device can be used any more, and the driver's words otherwise.
    pub fn check(&self, status: Status, doing: &str) -> Result<(), StepError> {
        if status == 0 {
            return Ok(());
        }
        let cause = meaning(self.driver(), status);
        let device = self.device.name.clone();
        Err(match is_lost(status) {
            true => StepError::Lost {
                device,
                doing: doing.into(),
                cause,
            },
            false => StepError::Backend(format!("the {device} failed {doing}: {cause}")),
        })
    }
}

/// Whether nothing that is on the device can be used any more.
fn is_lost(status: Status) -> bool {
    matches!(
        status,
        CUDA_ERROR_DEVICE_UNAVAILABLE
            | CUDA_ERROR_ECC_UNCORRECTABLE
            | CUDA_ERROR_NVLINK_UNCORRECTABLE
            | CUDA_ERROR_ILLEGAL_ADDRESS
            | CUDA_ERROR_LAUNCH_TIMEOUT
            | CUDA_ERROR_CONTEXT_IS_DESTROYED
            | CUDA_ERROR_HARDWARE_STACK_ERROR
            ..=CUDA_ERROR_LAUNCH_FAILED | CUDA_ERROR_UNKNOWN
    )
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was retained once, and everything made in it holds it.
        unsafe { (self.driver().cuDevicePrimaryCtxRelease_v2)(self.device.ordinal) };
    }
}
