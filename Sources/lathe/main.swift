import Commands

Lathe.prepareProcess()
Lathe.runProcess()
