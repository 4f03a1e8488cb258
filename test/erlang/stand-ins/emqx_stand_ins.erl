%% What the stand-ins are told by a test: release, data_directory, configuration, denied.
-module(emqx_stand_ins).

-export([set/2, get/2]).

set(Key, Value) -> persistent_term:put({?MODULE, Key}, Value).

get(Key, Default) -> persistent_term:get({?MODULE, Key}, Default).
