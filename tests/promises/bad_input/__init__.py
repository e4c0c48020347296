"""Bad input, case by case: a module a class, each case with its name, what is sent, and what must be answered.

`files.py` lists the classes of files, which `test_files.py` gives to the real readers in their walled child, and some
of them to the whole service over HTTP. `test_requests.py` sends all other cases over HTTP to a real `lesion api`.
"""
