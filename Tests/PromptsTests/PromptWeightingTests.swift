import Prompts
import Testing

@Suite struct PromptWeightingTests {
  @Test(arguments: 0..<3) func asTorchComputes(index: Int) {
    let golden = PromptGolden.all.weighting[index]
    let cases: [(PromptWeighting, [Float])] = [
      (.product, golden.product), (.restoringMean, golden.restoringMean),
      (.awayFromEmpty(golden.empty), golden.awayFromEmpty),
    ]
    for (weighting, expected) in cases {
      var output = golden.output
      weighting.apply(golden.weights, to: &output, width: 4)
      #expect(output.count == expected.count)
      for (found, expected) in zip(output, expected) {
        #expect(abs(found - expected) <= 2e-6 * max(1, abs(expected)), "\(weighting)")
      }
    }
  }

  @Test func weightsOfOneChangeNothing() {
    let output: [Float] = [0.1, -0.3, 0.7, 1e-8, 3, -2]
    for weighting in [PromptWeighting.product, .restoringMean, .awayFromEmpty([9, 9, 9, 9, 9, 9])] {
      var changed = output
      weighting.apply([1, 1, 1], to: &changed, width: 2)
      #expect(changed == output)
    }
  }

  @Test func nothingToRestore() {
    var output: [Float] = [1, 2, 3, 4]
    PromptWeighting.restoringMean.apply([0, 0], to: &output, width: 2)
    #expect(output == [0, 0, 0, 0])
  }
}
