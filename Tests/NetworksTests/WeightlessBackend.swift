import Kernels
import Tensors

/// A backend that keeps no weights and computes nothing: for networks that are built only to see what they ask for.
final class WeightlessBackend: Backend {
  let precision = Precision.f32
  let pool: any MemoryPool = HostPool()

  private final class Nothing: Linear, Convolution {
    let outputs = 0
    func callAsFunction(_ x: FeatureMap, as format: NumberFormat) -> FeatureMap { x }
    func add(_ x: FeatureMap, to sum: inout FeatureMap) {}
    func callAsFunction(_ x: FeatureMap, after factors: NormFactors?, enlargedTo size: MapSize?) -> FeatureMap { x }
    func add(_ x: FeatureMap, after factors: NormFactors?, to sum: inout FeatureMap) {}
  }

  func linear(weight: Tensor, bias: Tensor?, precision: Precision) -> any Linear { Nothing() }

  func convolution(
    weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry, precision: Precision, expecting size: MapSize,
    enlarging: Bool
  ) -> any Convolution { Nothing() }

  func factors(of norm: Norm, groups: Int, for x: FeatureMap, offset: FeatureMap?) -> NormFactors {
    fatalError("nothing is computed here")
  }

  func normalized(_ x: FeatureMap, by factors: NormFactors, as format: NumberFormat) -> FeatureMap { x }
  func layerNorm(_ x: FeatureMap, _ norm: Norm, as format: NumberFormat) -> FeatureMap { x }
  func attention(_ q: FeatureMap, _ k: FeatureMap, _ v: FeatureMap, heads: Int, isCausal: Bool) -> FeatureMap { q }
  func tokenNorm(_ x: FeatureMap, _ norm: TokenNorm, as format: NumberFormat) -> FeatureMap { x }
  func addTokenNorm(of x: FeatureMap, _ norm: TokenNorm, to sum: inout FeatureMap) {}
  func rotated(_ x: FeatureMap, heads: Int, norm: TokenNorm?, by table: RotationTable) -> FeatureMap { x }
  func gatedSiLU(_ x: FeatureMap) -> FeatureMap { x }
  func gatedGELU(_ x: FeatureMap) -> FeatureMap { x }
  func activated(_ x: FeatureMap, _ activation: Activation, as format: NumberFormat) -> FeatureMap { x }
  func softlyLimited(_ x: FeatureMap, to limit: Float) -> FeatureMap { x }
  func add(_ y: FeatureMap, to x: inout FeatureMap) {}
  func concatenated(_ a: FeatureMap, _ b: FeatureMap) -> FeatureMap { a }
}
