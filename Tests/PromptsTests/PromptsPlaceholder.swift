// Taken out when the room is furnished.
