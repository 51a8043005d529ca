import Commands

Lathe.main()
