import Synchronization
import Testing

@testable import Kernels

@Suite struct TeamTests {
  @Test("a team has as many threads as it says, and at least one", arguments: [-1, 0, 1, 2, 5])
  func threads(_ wanted: Int) {
    let team = Team(threads: wanted)
    #expect(team.threads >= 1 && team.threads <= max(wanted, 1))
    let outside = Atomic(0)
    KernelThread.run {
      team.run(1000) { _, thread in
        if !(0..<team.threads).contains(thread) { outside.add(1, ordering: .relaxed) }
      }
    }
    #expect(outside.load(ordering: .relaxed) == 0, "work was done by a thread that has no place")
  }

  @Test("numbers that no processor has are cut")
  func manyThreads() { #expect((1...1024).contains(Team(threads: .max).threads)) }
}
