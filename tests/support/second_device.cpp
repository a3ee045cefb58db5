// A pretended accelerator for torch: the device type HPU, which no library here claims, with the machine's own memory
// behind it and the CPU's arithmetic. See second_device.py for what that shows.

#include <ATen/EmptyTensor.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/HPUHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/extension.h>
#include <torch/library.h>

namespace {

using at::Tensor;
using c10::Device;
using c10::Stream;

constexpr auto KIND = c10::DeviceType::HPU;
constexpr c10::DispatchKeySet KEYS(c10::DispatchKey::HPU);
const Device ONLY(KIND, 0);

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* memory = c10::alloc_cpu(bytes);
    return {memory, memory, &c10::free_cpu, ONLY};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &c10::free_cpu; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};
Allocator allocator;
REGISTER_ALLOCATOR(KIND, &allocator)

// One device with one stream: the autograd engine asks for both, and has then nothing to wait for.
struct Guard final : c10::impl::NoOpDeviceGuardImpl<KIND> {
  Device exchangeDevice(Device) const override { return ONLY; }
  Device getDevice() const override { return ONLY; }
  Stream getStream(Device) const noexcept override { return Stream(Stream::DEFAULT, ONLY); }
  Stream exchangeStream(Stream) const noexcept override { return Stream(Stream::DEFAULT, ONLY); }
  void synchronizeDevice(const c10::DeviceIndex) const override {}
};
C10_REGISTER_GUARD_IMPL(HPU, Guard)

Tensor empty(
    at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>, std::optional<Device>,
    std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &allocator, KEYS, c10::dtype_or_default(dtype), format);
}

Tensor empty_strided(
    at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
    std::optional<Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &allocator, KEYS, c10::dtype_or_default(dtype));
}

// The same memory as a tensor of the CPU.
Tensor seen(const Tensor& tensor) {
  if (!tensor.device().is_hpu()) return tensor;
  auto options = tensor.options().device(at::kCPU).requires_grad(false);
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), [tensor](void*) {}, options);
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool) {
  at::NoGradGuard no_grad;
  seen(to).copy_(seen(from));
  return to;
}

// The fallback ends an operation with it that writes into a tensor, which may be empty until then and grow.
Tensor copy_back(const Tensor& from, const Tensor& to) {
  if (from.sizes() != to.sizes()) {
    auto* grown = to.unsafeGetTensorImpl();
    grown->set_storage_keep_dtype(at::empty(from.sizes(), to.options()).storage());
    grown->set_storage_offset(0);
    grown->set_sizes_contiguous(from.sizes());
  }
  return copy_from(from, to, false);
}

void require_same(const std::string& name, bool here, bool there) {
  TORCH_CHECK(!(here && there), "MIXED DEVICES in ", name);
}

// As CUDA has it: a tensor of the CPU may take part where it has no dimensions, or where it is an index.
void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  bool here = false, there = false;
  auto note = [&](const Tensor& tensor, bool may_be_one_number) {
    if (!tensor.defined()) return;
    if (tensor.device().is_hpu()) here = true;
    else if (tensor.dim() > 0 || !may_be_one_number) there = true;
  };
  for (auto& given : torch::jit::last(stack, op.schema().arguments().size())) {
    if (given.isTensor()) note(given.toTensor(), true);
    else if (given.isTensorList()) for (const Tensor& each : given.toTensorVector()) note(each, false);
    else if (given.isOptionalTensorList())
      for (const std::optional<Tensor>& index : given.toOptionalTensorVector())
        if (index && index->defined() && index->is_hpu()) here = true;
  }
  require_same(op.schema().name(), here, there);
  at::native::cpu_fallback(op, stack);
}

// Convolutions do not reach the fallback: torch has hooks of their own for devices that it does not know.
Tensor convolution(
    const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, at::IntArrayRef stride,
    at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed, at::IntArrayRef output_padding, int64_t groups) {
  bool biased = bias && bias->defined();
  require_same("convolution", true, !input.is_hpu() || !weight.is_hpu() || (biased && !bias->is_hpu()));
  auto plain = at::convolution(
      input.cpu(), weight.cpu(), biased ? bias->cpu() : Tensor(), stride, padding, dilation, transposed, output_padding,
      groups);
  return plain.to(ONLY);
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& gradient, const Tensor& input, const Tensor& weight, at::IntArrayRef stride, at::IntArrayRef padding,
    at::IntArrayRef dilation, bool transposed, at::IntArrayRef output_padding, int64_t groups,
    std::array<bool, 3> wanted) {
  require_same("convolution_backward", true, !gradient.is_hpu() || !input.is_hpu() || !weight.is_hpu());
  std::vector<int64_t> bias{transposed ? weight.size(1) * groups : weight.size(0)};
  auto [to_input, to_weight, to_bias] = at::convolution_backward(
      gradient.cpu(), input.cpu(), weight.cpu(), at::OptionalIntArrayRef(bias), stride, padding, dilation, transposed,
      output_padding, groups, wanted);
  auto back = [](const Tensor& tensor) { return tensor.defined() ? tensor.to(ONLY) : tensor; };
  return {back(to_input), back(to_weight), back(to_bias)};
}

}  // namespace

// What torch.accelerator asks for; found by this very name.
namespace at {
struct HPUHooks final : HPUHooksInterface {
  explicit HPUHooks(HPUHooksArgs) {}
  void init() const override {}
  bool hasHPU() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
};
REGISTER_HPU_HOOKS(HPUHooks);
}  // namespace at

TORCH_LIBRARY_IMPL(_, HPU, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY_IMPL(aten, HPU, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("_copy_from", copy_from);
  library.impl("_copy_from_and_resize", copy_back);
  library.impl("convolution_overrideable", convolution);
  library.impl("convolution_backward_overrideable", convolution_backward);
  // Views of the device's own memory; the fallback would show a copy.
  library.impl("view", at::native::view);
  library.impl("_reshape_alias", at::native::_reshape_alias);
  library.impl("as_strided", at::native::as_strided_tensorimpl);
  library.impl("unfold", at::native::unfold);
  library.impl("set_.source_Storage", at::native::set_);
  library.impl("set_.source_Storage_storage_offset", at::native::set_storage_cpu_);
}

// Mixed precision by torch's own lists, as CUDA has it.
namespace at::autocast {
#define OF_HPU(...) KERNEL(c10::DeviceType::HPU, __VA_ARGS__)
#define IN_HALF(...) OF_HPU(__VA_ARGS__, lower_precision_fp)
#define IN_FULL(...) OF_HPU(__VA_ARGS__, fp32)
#define IN_WIDEST(...) OF_HPU(__VA_ARGS__, promote)
TORCH_LIBRARY_IMPL(_, AutocastHPU, m) { m.fallback(torch::CppFunction::makeFallthrough()); }
TORCH_LIBRARY_IMPL(aten, AutocastHPU, m) {
  AT_FORALL_LOWER_PRECISION_FP(IN_HALF)
  AT_FORALL_FP32(IN_FULL)
  AT_FORALL_PROMOTE(IN_WIDEST)
}
}  // namespace at::autocast
