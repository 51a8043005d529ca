import Foundation
import Safetensors
import TestSupport
import Testing

@testable import Networks

@Suite struct TimeEmbeddingTests {
  private struct Case: Decodable {
    struct Settings: Decodable {
      let times: [Float]
      let width: Int
    }
    let settings: Settings
    let stride: Int
    let float32: Float
  }
  private struct Kind: Decodable {
    let name: String
    let kind: String
  }

  /// Times are multiplied with frequencies in f32, as everybody does it: `float32` says what that alone makes.
  @Test("cosines first, for whole and fractional times", arguments: [32, 320])
  func times(_ width: Int) throws {
    let data = try Goldens.data("diffusion/operations/cases.json")
    let place = try #require(
      try JSONDecoder().decode([Kind].self, from: data).firstIndex { $0.name == "time-\(width)" })
    let all = try #require(try JSONSerialization.jsonObject(with: data) as? [Any])
    let test = try JSONDecoder().decode(Case.self, from: JSONSerialization.data(withJSONObject: all[place]))
    let outputs = try SafetensorsFile(path: Goldens.path("diffusion/operations/outputs.safetensors"))
    let expected = try #require(outputs["time-\(width)"]).floats()
    let values = test.settings.times.flatMap { Sinusoid.cosinesFirst($0, channels: test.settings.width) }
    let found = stride(from: 0, to: values.count, by: test.stride).map { values[$0] }
    let difference = largestDifference(found, expected)
    #expect(difference <= 2 * test.float32, "\(difference)")
    // Up to 1 the products' rounding makes nothing.
    let small = width * test.settings.times.count { $0 <= 1 }
    #expect(test.stride == 1 && largestDifference(Array(found[..<small]), Array(expected[..<small])) <= 3e-7)
  }

  /// What diffusers made of the guidance is an input of the golden.
  @Test("sines first, for the guidance of distilled models")
  func guidance() throws {
    let golden = try NetworkGolden("lcm-tiny")
    for test in golden.cases {
      let expected = try golden.input("\(test)/guidance"), width = expected.shape.extents[1]
      let found = try golden.input("\(test)/guidance_scale").floats().flatMap {
        Sinusoid.sinesFirst(($0 - 1) * 1000, channels: width)
      }
      let difference = largestDifference(found, expected.floats())
      // Angles of some thousands, in f32.
      #expect(difference <= 1e-3, "\(test): \(difference)")
    }
  }
}
