import Commands

Lathe.prepareProcess()
Lathe.main()
