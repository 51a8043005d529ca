extension Family {
  /// Of families that modules can belong to the first, where it does not matter which of them it is: all have the same names for each
  /// of the modules. `nil` otherwise.
  package static func agreeing(_ families: [Family], on keys: some Sequence<TargetKey>) -> Family? {
    let names = families.map { ModuleNames(family: $0, component: .denoiser) }
    let agree = keys.allSatisfy { key in
      guard !key.component.isTextEncoder else { return true }
      let counterparts = names.map { names in
        names.dotted(key.path).map { names.counterpart(of: $0, isLast: false) }
      }
      return counterparts.dropFirst().allSatisfy {
        $0?.isKnown == true && $0?.original == counterparts[0]?.original && $0?.diffusers == counterparts[0]?.diffusers
      }
    }
    return agree ? families.first : nil
  }
}
