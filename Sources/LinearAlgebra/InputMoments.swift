/// The mean of (down·x)·(down·x)ᵀ over the inputs x that a layer has seen: all that must be known of them to say how far
/// another delta's outputs are from those of up · diag(w) · down.
///
/// Its size is the square of the number of components, whatever the number of inputs is.
public struct InputMoments: Sendable {
  /// Sums over all rows so far, components × components.
  private var sums: Matrix
  /// How many inputs were seen.
  public private(set) var count = 0

  /// Of nothing yet.
  ///
  /// - Parameter components: rows of `down`.
  public init(components: Int) { sums = Matrix(zeros: components, components) }

  /// Rows of `down`.
  public var components: Int { sums.rows }

  /// The mean, components × components; zeros where nothing was seen.
  public var mean: Matrix { (count > 0 ? 1 / Double(count) : 0) * sums }

  /// Adds inputs, in double precision and in their order, so that the sum does not depend on who else computes.
  ///
  /// - Parameters:
  ///   - inputs: rows × n, row-major.
  ///   - down: components × n, row-major.
  public mutating func add(_ inputs: UnsafeBufferPointer<Double>, down: UnsafeBufferPointer<Double>) {
    guard components > 0, !down.isEmpty else { return }
    let columns = down.count / components, rows = inputs.count / columns
    precondition(down.count == components * columns && inputs.count == rows * columns, "inputs of \(columns) numbers")
    guard rows > 0 else { return }
    var images = Matrix(zeros: rows, components)
    images.elements.withUnsafeMutableBufferPointer {
      BLAS.multiply(
        inputs.baseAddress!, columns, transposed: false, down.baseAddress!, columns, transposed: true, rows: rows,
        inner: columns, columns: components, into: $0.baseAddress!)
    }
    sums = sums + images.transposedTimes(images)
    count += rows
  }
}
