import COneDNN
import Tensors

/// A convolution by oneDNN, over maps as they are (NHWC).
final class DirectConvolution {
  /// What does not change from call to call.
  fileprivate struct Form {
    let inputs: Int
    let outputs: Int
    let kernel: MapSize
    let geometry: ConvolutionGeometry
    let hasBias: Bool
    let operand: NumberFormat
  }

  fileprivate struct Case: Hashable {
    let batch: Int
    let size: MapSize
    let sums: Bool
  }

  /// Guided steps see two samples.
  private static let usualBatch = 2

  private unowned let backend: NativeBackend
  private let form: Form
  private var layer: OneDNNLayer<Case>

  /// - Parameters:
  ///   - weight: out × in × height × width in f32.
  ///   - extents: these four numbers.
  ///   - size: the usual size of the output, for which the weights' layout is chosen: for another layout than that of the maps
  ///     that come the weights are arranged anew, by loops that take longer than many steps.
  init(
    weight: UnsafeRawPointer, extents: [Int], bias: FeatureMap?, geometry: ConvolutionGeometry,
    operand: NumberFormat, expecting size: MapSize, backend: NativeBackend
  ) {
    form = Form(
      inputs: extents[1], outputs: extents[0], kernel: MapSize(height: extents[2], width: extents[3]),
      geometry: geometry, hasBias: bias != nil, operand: operand)
    self.backend = backend
    let input = geometry.largestInput(for: size, kernel: form.kernel)
    let usual = form.primitive(Case(batch: Self.usualBatch, size: input, sums: false))
    let weights = PackedWeights(
      weight, in: OneDNN.descriptor(extents, .f32, dnnl_oihw), as: usual.weights, pool: backend.hostPool)
    layer = OneDNNLayer(weights, bias: bias)
  }

  func outputSize(_ x: FeatureMap) -> MapSize { form.geometry.outputSize(x.size, kernel: form.kernel) }

  func callAsFunction(_ x: FeatureMap) -> FeatureMap {
    let result = x.similar(channels: form.outputs, size: outputSize(x), format: .f32, pool: backend.pool)
    run(x, into: result, sums: false)
    return result
  }

  /// - Precondition: nobody else reads `target` at the same time.
  func run(_ x: FeatureMap, into target: FeatureMap, sums: Bool) {
    precondition(x.channels == form.inputs, "a convolution of \(form.inputs) channels was given \(x.channels)")
    precondition(
      target.size == outputSize(x) && target.channels == form.outputs, "a convolution's target has another size")
    x.requireWhole()
    let x = backend.converted(x, to: form.operand)
    let work = Case(batch: x.batch, size: x.size, sums: sums)
    backend.work(.convolution) {
      let primitive = layer.primitive(for: work, pool: backend.hostPool) { form.primitive(work) }
      layer.run(primitive, x.base, into: target.base, scratch: backend.scratch(primitive.scratchBytes))
    }
  }
}

extension DirectConvolution.Form {
  fileprivate func primitive(_ work: DirectConvolution.Case) -> OneDNNPrimitive {
    let output = geometry.outputSize(work.size, kernel: kernel)
    var source = OneDNN.descriptor([work.batch, inputs, work.size.height, work.size.width], operand, dnnl_nhwc)
    var weights = OneDNN.descriptor([outputs, inputs, kernel.height, kernel.width], operand, dnnl_format_tag_any)
    var bias = OneDNN.descriptor([outputs], .f32, dnnl_a)
    var target = OneDNN.descriptor([work.batch, outputs, output.height, output.width], .f32, dnnl_nhwc)
    let strides = [dnnl_dim_t](repeating: dnnl_dim_t(geometry.stride), count: 2)
    let before = [dnnl_dim_t(geometry.before.height), dnnl_dim_t(geometry.before.width)]
    let after = [dnnl_dim_t(geometry.after.height), dnnl_dim_t(geometry.after.width)]
    return OneDNNPrimitive(sums: work.sums) { attributes in
      var operation = dnnl_convolution_desc_t(), description: dnnl_primitive_desc_t?
      OneDNN.check(
        withUnsafePointer(to: &bias) {
          dnnl_convolution_forward_desc_init(
            &operation, dnnl_forward_inference, dnnl_convolution_direct, &source, &weights, hasBias ? $0 : nil,
            &target, strides, before, after)
        }, "a convolution")
      OneDNN.check(
        dnnl_primitive_desc_create(&description, &operation, attributes, OneDNN.engine, nil), "a convolution")
      return description!
    }
  }
}
