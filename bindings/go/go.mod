module outrider

go 1.19
