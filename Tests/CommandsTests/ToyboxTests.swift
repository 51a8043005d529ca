import Foundation
import Images
import TestSupport
import Testing

/// The example model from end to end: its pictures are those of diffusers, and what Lathe makes of its adapters looks as
/// it must.
@Suite struct ToyboxTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test(
    "pictures are those of diffusers: alone, with each adapter, at each strength, six at once", arguments: Toybox.runs)
  func pictures(_ run: Toybox.Run) throws {
    let picture = try run.render(run.stack, in: folder)
    #expect(try picture.share(of: run.golden(), differingByMoreThan: 1) <= 0.001)
  }

  @Test("strength 0 is the base, bit for bit, and no other strength is")
  func strengths() throws {
    let run = Toybox.run("sketch-0.5"), base = try run.render([], in: folder)
    #expect(try run.render(["\(Toybox.adapter("sketch"))@0"], in: folder) == base)
    let distances = try ["0.3", "0.5", "0.8", "1.0"].map { strength in
      try ImageComparison(Toybox.run("sketch-\(strength)").golden(), base).meanSquaredError
    }
    #expect(distances[0] > 0 && distances == distances.sorted())
  }

  @Test("pictures have the size that the model was trained with, unless another is asked for")
  func size() throws {
    let path = folder.file("out.png")
    let run = try Tool.run(["render", Toybox.model, "--prompt", "a cat", "--steps", "1", "-o", path])
    #expect(run.status == 0, "\(run.errors)")
    let image = try PNGPicture(path: path).image
    #expect(image.width == 128 && image.height == 128)
  }

  @Test("six adapters merged into one make the picture of the six")
  func merged() throws {
    let run = Toybox.run("stack"), path = folder.file("merged.safetensors")
    let merge = try Tool.run(["merge"] + run.stack + ["-o", path, "--dtype", "f32"])
    #expect(merge.status == 0, "\(merge.errors)")
    #expect(try run.render([path], in: folder).share(of: run.golden(), differingByMoreThan: 1) <= 0.001)
  }

  @Test("six adapters baked in f32 make the very picture of the six; in 16 bits nearly")
  func baked() throws {
    let run = Toybox.run("stack"), stacked = try run.render(run.stack, in: folder)
    for (dtype, least) in [("f32", Double.infinity), ("f16", 40), ("bf16", 22)] {
      let model = folder.file("baked-\(dtype)")
      let bake = try Tool.run(["bake", Toybox.model] + run.stack + ["-o", model, "--dtype", dtype])
      #expect(bake.status == 0, "\(bake.errors)")
      let comparison = try ImageComparison(run.render([], on: model, in: folder), stacked)
      #expect(comparison.peakSignalToNoise >= least, "\(dtype): \(comparison.peakSignalToNoise) dB")
    }
  }

  @Test("an adapter of rank 64 at a tenth of its bytes still makes its picture")
  func resized() throws {
    let run = Toybox.run("sepia-r64"), path = folder.file("small.safetensors"), whole = Toybox.adapter("sepia-r64")
    let size = try #require(FileManager.default.attributesOfItem(atPath: whole)[.size] as? Int)
    let resize = try Tool.run(["resize", whole, "-o", path, "--size", "\(size / 10)"])
    #expect(resize.status == 0, "\(resize.errors)")
    let picture = try run.render([path], in: folder), golden = try run.golden()
    let comparison = try ImageComparison(picture, golden)
    #expect(comparison.structuralSimilarity >= 0.9, "\(comparison)")
    let base = try run.render([], in: folder)
    #expect(try comparison.meanSquaredError <= 0.1 * ImageComparison(base, golden).meanSquaredError)
  }

  @Test("the same model in one file under the original names makes the same picture, bit for bit")
  func singleFile() throws {
    let run = Toybox.run("stack"), path = folder.file("toybox.safetensors")
    try SingleFile.write(of: Toybox.model, listing: "toybox/single-file.json", to: path)
    #expect(try run.render(run.stack, on: path, in: folder) == run.render(run.stack, in: folder))
    let compare = try Tool.run(["compare", Toybox.model, path, "--probe", "--probe-size", "128x128", "--json"])
    #expect(compare.status == 0, "\(compare.errors)")
  }
}
