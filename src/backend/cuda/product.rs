//! Matrix products by cublasLt: described and chosen once, then repeated.

use super::{
    functions::{Address, Algorithm, Blas, Handle, Heuristic, Status, constants::*},
    library::Opened,
    memory::{Memory, WORKSPACE},
    program::{Argument, Factor, Product},
    stream::Stream,
};
use crate::{plan::Element, train::step::StepError};
use std::{
    ffi::{CStr, c_uint, c_void},
    ptr,
    sync::Arc,
};

/// cublasLt, started.
pub struct Multiplier {
    blas: Arc<Opened<Blas>>,
    handle: Handle,
}

// SAFETY: the library locks what is its own.
unsafe impl Send for Multiplier {}
// SAFETY: as above.
unsafe impl Sync for Multiplier {}

impl Multiplier {
    /// In the context that is current.
    pub fn new(blas: Arc<Opened<Blas>>) -> Result<Arc<Multiplier>, StepError> {
        let mut handle = ptr::null_mut();
        // SAFETY: it writes a handle.
        let status = unsafe { (blas.functions.cublasLtCreate)(&mut handle) };
        let multiplier = Multiplier { blas, handle };
        multiplier.check(status, "starts")?;
        Ok(Arc::new(multiplier))
    }

    fn check(&self, status: Status, doing: &str) -> Result<(), StepError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: it returns the address of a text that stays.
        let said = unsafe { CStr::from_ptr((self.blas.functions.cublasLtGetStatusString)(status)) };
        let said = said.to_string_lossy();
        Err(StepError::Backend(format!(
            "cublasLt, when it {doing}: {said}"
        )))
    }
}

impl Drop for Multiplier {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: the handle is its own.
            unsafe { (self.blas.functions.cublasLtDestroy)(self.handle) };
        }
    }
}

/// Something of the library's that is given back when it is dropped.
struct Owned {
    handle: Handle,
    give_back: unsafe extern "C" fn(Handle) -> Status,
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the handle was made for this owner.
        unsafe { (self.give_back)(self.handle) };
    }
}

/// A product, ready to be repeated.
pub struct Ready {
    multiplier: Arc<Multiplier>,
    operation: Owned,
    /// In the library's order.
    factors: [Owned; 2],
    /// Of what is added beside the result; else that is the result itself, as the library asks.
    added: Option<Owned>,
    result: Owned,
    algorithm: Algorithm,
    addresses: [Address; 4],
    workspace: Address,
    /// By what it multiplies what is added: 0 or 1.
    beta: f32,
}

/// Of both factors, of what is added, and of the result.
fn layouts<'a>(
    [first, second]: &'a [Owned; 2],
    added: &'a Option<Owned>,
    result: &'a Owned,
) -> [&'a Owned; 4] {
    [first, second, added.as_ref().unwrap_or(result), result]
}

// SAFETY: descriptors are not changed once they are made.
unsafe impl Send for Ready {}
// SAFETY: as above.
unsafe impl Sync for Ready {}

impl Ready {
    /// Describes a product and lets the library choose how it is computed.
    ///
    /// # Errors
    /// Where the library has no way, and where the program is unsound.
    pub fn new(
        multiplier: &Arc<Multiplier>,
        memory: &Memory,
        product: &Product,
    ) -> Result<Ready, StepError> {
        // The library counts from column to column. A result that is contiguous along its rows is to it the transposed one:
        // cᵀ = bᵀ·aᵀ.
        let Product {
            m, n, k, a, b, c, ..
        } = product;
        let flipped = !c.transposed;
        let (a, b, c) = ((a, [*m, *k]), (b, [*k, *n]), (c, [*m, *n]));
        let factors = if flipped { [b, a] } else { [a, b] };
        let [first, second] = factors;

        let functions = &multiplier.blas.functions;
        let operation = multiplier.own(functions.cublasLtMatmulDescDestroy, |to| {
            // SAFETY: it writes a handle.
            unsafe { (functions.cublasLtMatmulDescCreate)(to, CUBLAS_COMPUTE_32F, CUDA_R_32F) }
        })?;
        let sides = [CUBLASLT_MATMUL_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSB];
        for (side, (factor, _)) in sides.into_iter().zip(factors) {
            let turned = match factor.transposed == flipped {
                true => CUBLAS_OP_T,
                false => CUBLAS_OP_N,
            };
            let set = functions.cublasLtMatmulDescSetAttribute;
            multiplier.set(set, operation.handle, side, turned)?;
        }
        if let Some(bias) = &product.bias {
            multiplier.add_bias(
                &operation,
                start(memory, bias.memory, bias.offset, Element::F32)?,
            )?;
        }
        let factors = [
            multiplier.layout(product, first)?,
            multiplier.layout(product, second)?,
        ];
        let result = multiplier.layout(product, c)?;
        let beside = product.added.as_ref().filter(|added| *added != c.0);
        let beside = beside.map(|added| multiplier.layout(product, (added, c.1)));
        let beside = beside.transpose()?;
        let at = |of: &Factor| start(memory, of.memory, of.offset, of.element);
        let added = product.added.as_ref().unwrap_or(c.0);
        let addresses = [at(first.0)?, at(second.0)?, at(added)?, at(c.0)?];
        let layouts = layouts(&factors, &beside, &result);
        let algorithm = multiplier.choose(&operation, layouts, addresses, c.0.element)?;
        Ok(Ready {
            multiplier: multiplier.clone(),
            operation,
            factors,
            added: beside,
            result,
            algorithm,
            addresses,
            workspace: memory.workspace(),
            beta: if product.added.is_some() { 1.0 } else { 0.0 },
        })
    }

    /// Computes it on a stream. All products share one workspace, so they belong into one stream.
    pub fn launch(&self, stream: &Stream) -> Result<(), StepError> {
        let alpha = 1.0f32;
        let [first, second, added, result] = layouts(&self.factors, &self.added, &self.result);
        let pointer = |address: Address| address as *const c_void;
        let [x, y, c, d] = self.addresses.map(pointer);
        // SAFETY: what is described lies inside the memory of the program; the library reads both scalars before it returns.
        let status = unsafe {
            (self.multiplier.blas.functions.cublasLtMatmul)(
                self.multiplier.handle,
                self.operation.handle,
                ptr::from_ref(&alpha).cast(),
                x,
                first.handle,
                y,
                second.handle,
                ptr::from_ref(&self.beta).cast(),
                c,
                added.handle,
                d.cast_mut(),
                result.handle,
                &self.algorithm,
                self.workspace as *mut c_void,
                WORKSPACE,
                stream.handle(),
            )
        };
        self.multiplier.check(status, "multiplied")
    }
}

/// The address of the first element.
fn start(
    memory: &Memory,
    part: Argument,
    offset: usize,
    element: Element,
) -> Result<Address, StepError> {
    Ok(memory.at(part)? + (offset * element.bytes()) as Address)
}

impl Multiplier {
    fn own(
        &self,
        give_back: unsafe extern "C" fn(Handle) -> Status,
        make: impl FnOnce(*mut Handle) -> Status,
    ) -> Result<Owned, StepError> {
        let mut handle = ptr::null_mut();
        let status = make(&mut handle);
        self.check(status, "described a product")?;
        Ok(Owned { handle, give_back })
    }

    fn set<T: bytemuck::Pod>(
        &self,
        set: unsafe extern "C" fn(Handle, c_uint, *const c_void, usize) -> Status,
        of: Handle,
        which: c_uint,
        value: T,
    ) -> Result<(), StepError> {
        // SAFETY: it reads as many bytes as the value has.
        let status = unsafe { set(of, which, ptr::from_ref(&value).cast(), size_of::<T>()) };
        self.check(status, "described a product")
    }

    /// Has one number added to each column; to the library, that of a transposed result, to each row.
    fn add_bias(&self, operation: &Owned, bias: Address) -> Result<(), StepError> {
        let set = self.blas.functions.cublasLtMatmulDescSetAttribute;
        let epilogue = CUBLASLT_MATMUL_DESC_EPILOGUE;
        self.set(set, operation.handle, epilogue, CUBLASLT_EPILOGUE_BIAS)?;
        let element = CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE;
        self.set(set, operation.handle, element, CUDA_R_32F)?;
        let pointer = CUBLASLT_MATMUL_DESC_BIAS_POINTER;
        self.set(set, operation.handle, pointer, bias)
    }

    /// A matrix of so many rows and columns as the library sees it.
    fn layout(
        &self,
        product: &Product,
        (factor, [rows, columns]): (&Factor, [usize; 2]),
    ) -> Result<Owned, StepError> {
        let (along, across) = match factor.transposed {
            true => (rows, columns),
            false => (columns, rows),
        };
        let element = match factor.element {
            Element::F32 => CUDA_R_32F,
            Element::Bf16 => CUDA_R_16BF,
        };
        // A matrix of one column may tell any stride.
        let stride = factor.stride.max(along) as i64;
        let functions = &self.blas.functions;
        let layout = self.own(functions.cublasLtMatrixLayoutDestroy, |to| {
            let create = functions.cublasLtMatrixLayoutCreate;
            // SAFETY: it writes a handle.
            unsafe { create(to, element, along as u64, across as u64, stride) }
        })?;
        if product.count > 1 {
            let set = functions.cublasLtMatrixLayoutSetAttribute;
            let (count, apart) = (product.count as i32, factor.batch_stride as i64);
            self.set(
                set,
                layout.handle,
                CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                count,
            )?;
            let offset = CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET;
            self.set(set, layout.handle, offset, apart)?;
        }
        Ok(layout)
    }

    fn choose(
        &self,
        operation: &Owned,
        layouts: [&Owned; 4],
        addresses: [Address; 4],
        result: Element,
    ) -> Result<Algorithm, StepError> {
        let functions = &self.blas.functions;
        let preference = self.own(functions.cublasLtMatmulPreferenceDestroy, |to| {
            // SAFETY: it writes a handle.
            unsafe { (functions.cublasLtMatmulPreferenceCreate)(to) }
        })?;
        let set = functions.cublasLtMatmulPreferenceSetAttribute;
        let workspace = CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        self.set(set, preference.handle, workspace, WORKSPACE as u64)?;
        // Parts of sums that are computed side by side would be added up as they are written: rounded again and again.
        if result == Element::Bf16 {
            let scheme = CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK;
            let in_f32 = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
            self.set(set, preference.handle, scheme, in_f32)?;
        }
        let sides = [
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ];
        for (side, address) in sides.into_iter().zip(addresses) {
            self.set(set, preference.handle, side, alignment(address))?;
        }
        let [first, second, added, result] = layouts;
        let (mut best, mut found) = (Heuristic::default(), 0);
        // SAFETY: every handle is owned here; it writes one result and how many there are.
        let status = unsafe {
            (functions.cublasLtMatmulAlgoGetHeuristic)(
                self.handle,
                operation.handle,
                first.handle,
                second.handle,
                added.handle,
                result.handle,
                preference.handle,
                1,
                &mut best,
                &mut found,
            )
        };
        self.check(status, "looked for a way to multiply")?;
        match found {
            0 => Err(StepError::Backend(
                "cublasLt knows no way to multiply these matrices".into(),
            )),
            _ => self
                .check(best.state, "looked for a way to multiply")
                .map(|()| best.algorithm),
        }
    }
}

/// Bytes that an address is a multiple of, as far as the library cares.
fn alignment(address: Address) -> u32 {
    1 << address.trailing_zeros().min(8)
}

#[cfg(test)]
mod tests {
    use super::alignment;

    #[test]
    fn addresses_are_aligned_to_powers_of_two() {
        assert_eq!([256, 512 + 64, 2, 4096].map(alignment), [256, 64, 2, 256]);
    }
}
