import LinearAlgebra

/// The factors of a delta as doubles, some rows or columns at a time, which stay in the processor's cache: widened numbers are four
/// times as large as those of the file, and writing them to memory takes longer than multiplying them.
///
/// Factors that are computed when they are asked for are computed once, and are one part.
public struct FactorParts {
  private let delta: DeltaSum
  private let workspace: FactorWorkspace
  /// Whether both factors are in the workspace as a whole.
  package let isWhole: Bool

  /// - Parameter workspace: holds the parts; nothing else may use it meanwhile.
  public init(of delta: DeltaSum, in workspace: FactorWorkspace) {
    (self.delta, self.workspace) = (delta, workspace)
    isWhole =
      delta.componentCount == 0 || delta.componentCount >= FactorGrams.manyComponents
      || !delta.terms.allSatisfy(\.target.isStoredPlainly)
    if isWhole { delta.load(into: workspace) }
  }

  private var length: Int { max(64, 49_152 / delta.componentCount) }

  /// Calls `body` with the up factors side by side: the rows, and rows × components numbers.
  public func forEachUp(_ body: (Range<Int>, UnsafeMutableBufferPointer<Double>) -> Void) {
    guard !isWhole else { return body(0..<delta.rows, workspace.up) }
    for start in stride(from: 0, to: delta.rows, by: length) {
      let part = start..<min(start + length, delta.rows)
      workspace.prepare(up: part.count * delta.componentCount, down: 0)
      for (term, range) in zip(delta.terms, delta.ranges) {
        term.target.loadUp(rows: part, into: workspace.up, columns: range, of: delta.componentCount)
      }
      body(part, workspace.up)
    }
    delta.forget()
  }

  /// Calls `body` with the down factors one below the other: the columns, and components × columns numbers.
  public func forEachDown(_ body: (Range<Int>, UnsafeMutableBufferPointer<Double>) -> Void) {
    guard !isWhole else { return body(0..<delta.columns, workspace.down) }
    for start in stride(from: 0, to: delta.columns, by: length) {
      let part = start..<min(start + length, delta.columns)
      workspace.prepare(up: 0, down: delta.componentCount * part.count)
      for (term, range) in zip(delta.terms, delta.ranges) {
        term.target.loadDown(columns: part, into: workspace.down, rows: range)
      }
      body(part, workspace.down)
    }
    delta.forget()
  }

  /// ⟨Δ, scale · up · down⟩ for other factors, rows × rank and rank × columns.
  public func inner(
    up: UnsafeMutableBufferPointer<Double>, down: UnsafeMutableBufferPointer<Double>, rank: Int, scale: Double
  ) -> Double {
    let weights = delta.weights
    guard !isWhole else {
      return FactoredProduct(
        up: workspace.up, down: workspace.down, rows: delta.rows, columns: delta.columns, weights: weights
      ).inner(
        FactoredProduct(
          up: up, down: down, rows: delta.rows, columns: delta.columns,
          weights: [Double](repeating: scale, count: rank)))
    }
    var ups = Matrix(zeros: delta.componentCount, rank), downs = ups
    forEachUp { rows, values in
      ups.addInnerProducts(
        ofColumns: UnsafeBufferPointer(values),
        UnsafeBufferPointer(rebasing: up[rows.lowerBound * rank..<rows.upperBound * rank]))
    }
    forEachDown { columns, values in
      downs.addInnerProducts(ofRows: UnsafeBufferPointer(values), UnsafeBufferPointer(down), columns: columns)
    }
    return scale * ups.scalingRows(by: weights).inner(downs)
  }
}
