import CKernels
import COneDNN
import Tensors

/// A matrix product by oneDNN.
final class NativeLinear: Linear {
  private struct Case: Hashable {
    let rows: Int
    let target: NumberFormat
    let sums: Bool
  }

  /// The weights' layout is chosen for about this many rows.
  private static let usualRows = 1024

  private unowned let backend: NativeBackend
  private let inputs: Int
  let outputs: Int
  private let operand: NumberFormat
  private let hasBias: Bool
  private var layer: OneDNNLayer<Case>

  init(weight: Tensor, bias: Tensor?, operand: NumberFormat, backend: NativeBackend) {
    let extents = weight.shape.extents
    outputs = extents[0]
    inputs = weight.elementCount / max(outputs, 1)
    self.operand = operand
    self.backend = backend
    hasBias = bias != nil
    let weights = backend.withFloats(of: weight) { [inputs, outputs] values in
      let usual = Self.primitive(
        Case(rows: Self.usualRows, target: operand, sums: false), inputs: inputs, outputs: outputs,
        hasBias: bias != nil, operand: operand)
      // The stored matrix is out × in, so its transpose in × out has the first index fastest.
      let plain = OneDNN.descriptor([inputs, outputs], .f32, dnnl_ba)
      return PackedWeights(values, in: plain, as: usual.weights, pool: backend.hostPool)
    }
    layer = OneDNNLayer(weights, bias: bias.map { backend.parameters($0) })
  }

  private static func primitive(_ work: Case, inputs: Int, outputs: Int, hasBias: Bool, operand: NumberFormat)
    -> OneDNNPrimitive
  {
    var source = OneDNN.descriptor([work.rows, inputs], operand, dnnl_ab)
    var weights = OneDNN.descriptor([inputs, outputs], operand, dnnl_format_tag_any)
    var bias = OneDNN.descriptor([1, outputs], .f32, dnnl_ab)
    var target = OneDNN.descriptor([work.rows, outputs], work.target, dnnl_ab)
    return OneDNNPrimitive(sums: work.sums) { attributes in
      var operation = dnnl_matmul_desc_t(), description: dnnl_primitive_desc_t?
      OneDNN.check(
        withUnsafePointer(to: &bias) {
          dnnl_matmul_desc_init(&operation, &source, &weights, hasBias ? $0 : nil, &target)
        }, "a matrix product")
      OneDNN.check(
        dnnl_primitive_desc_create(&description, &operation, attributes, OneDNN.engine, nil), "a matrix product")
      return description!
    }
  }

  func callAsFunction(_ x: FeatureMap, as format: NumberFormat) -> FeatureMap {
    let result = x.similar(channels: outputs, format: format, pool: backend.pool)
    run(x, into: result, sums: false)
    return result
  }

  func add(_ x: FeatureMap, to sum: inout FeatureMap) {
    backend.makeAlone(&sum)
    run(x, into: sum, sums: true)
  }

  private func run(_ x: FeatureMap, into target: FeatureMap, sums: Bool) {
    precondition(x.channels == inputs, "a product of \(inputs) inputs was given \(x.channels)")
    precondition(target.channels == outputs && target.rows == x.rows, "the product's target has another size")
    x.requireWhole()
    let x = backend.converted(x, to: operand)
    backend.work(.linear) {
      if OneDNN.keepsBits(of: operand, terms: inputs) {
        let primitive = primitive(rows: x.rows, target.format, sums: sums)
        layer.run(primitive, x.base, into: target.base, scratch: backend.scratch(primitive.scratchBytes))
      } else {
        runInPieces(x, into: target, sums: sums)
      }
    }
  }

  private func primitive(rows: Int, _ target: NumberFormat, sums: Bool) -> OneDNNPrimitive {
    let work = Case(rows: rows, target: target, sums: sums)
    return layer.primitive(for: work, pool: backend.hostPool) {
      Self.primitive(work, inputs: inputs, outputs: outputs, hasBias: hasBias, operand: operand)
    }
  }

  /// Rows of a product that one thread computes by itself where the library would cut sums among its threads: enough for its
  /// registers, and few enough for several threads.
  private static func rowsOfPiece(of rows: Int) -> Int { rows < 512 ? 32 : 128 }

  private func runInPieces(_ x: FeatureMap, into target: FeatureMap, sums: Bool) {
    let rows = Self.rowsOfPiece(of: x.rows), pieces = (x.rows + rows - 1) / rows, rest = x.rows - (pieces - 1) * rows
    // Made for one thread, they run on one.
    kernels_set_threads(1)
    let whole = primitive(rows: min(rows, x.rows), target.format, sums: sums)
    let last = primitive(rows: rest, target.format, sums: sums)
    let bytes = (max(whole.scratchBytes, last.scratchBytes) + 63) / 64 * 64
    let scratch = backend.scratch(bytes * backend.team.threads)
    backend.team.run(pieces) { item, thread in
      layer.run(
        item == pieces - 1 ? last : whole, x.base + item * rows * inputs * x.format.size,
        into: target.base + item * rows * outputs * target.format.size, scratch: scratch + thread * bytes)
    }
  }
}
